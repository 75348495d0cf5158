/** Getting at somebody else's key, keeping one's own, or doing more with it than was granted: at the API, and at the resource itself. */
import { setTimeout as sleep } from "node:timers/promises";
import { Client, escapeIdentifier, DatabaseError } from "pg";
import { openSealedKey } from "@cardea/sdk/delivery-key";
import {
  connectionOf,
  fileRequest,
  obtainKey,
  readWish,
  takeKey,
  writeWish,
  type KeyInHand,
} from "@cardea/testing/key-in-hand";
import { outcomeOf, sure, type Attack, type AttackList } from "../attempt.ts";
import type { Ground } from "../ground.ts";

async function connected(key: KeyInHand): Promise<Client> {
  const client = new Client(connectionOf(key.key));
  // Being thrown out is what several attacks are about; unheard it would end the process.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

async function readKey(ground: Ground): Promise<KeyInHand> {
  return obtainKey((await ground.newcomer("erin")).client, readWish());
}

/** A statement with a key to read, refused by the resource itself. */
function statement(tries: string, meets: string, sql: string | ((own: string) => string)): Attack {
  return {
    tries,
    meets,
    run: async (ground) => {
      const key = await readKey(ground);
      const client = await connected(key);
      try {
        return await outcomeOf(client.query(typeof sql === "string" ? sql : sql(escapeIdentifier(key.key.user))));
      } finally {
        await client.end();
        await (await ground.newcomer("erin")).client.release(key.grant);
      }
    },
  };
}

/** Does something odd with one's own key, gives it back, and asks what is left and what was noticed. */
function misuse(tries: string, meets: string, sql: (own: string) => string): Attack {
  return {
    tries,
    meets,
    run: async (ground) => {
      const { client: erin } = await ground.newcomer("erin");
      const key = await readKey(ground);
      const client = await connected(key);
      const own = escapeIdentifier(key.key.user);
      await client.query(sql(own));
      await client.end();
      await erin.release(key.grant);
      const end = await ground.endOf(erin, key.grant);
      if (end !== "released") return `the grant is ${end}`;
      const left = await ground.loginsAtResource();
      if (left.includes(key.key.user)) return "the login is left";
      return ground.logged("lease.misused", key.grant);
    },
  };
}

export const keys: AttackList = {
  title: "keys at the API",
  attacks: [
    {
      tries: "a stranger fetches a key",
      meets: "not_found",
      run: async (ground) => outcomeOf((await ground.newcomer("mallory")).client.key((await readKey(ground)).grant)),
    },
    {
      tries: "the approver fetches the key that they approved",
      meets: "not_found",
      run: async (ground) =>
        outcomeOf(ground.bob.key((await ground.approvedKey((await ground.newcomer("erin")).client)).grant)),
    },
    {
      tries: "an administrator fetches a key",
      meets: "not_found",
      run: async (ground) => outcomeOf(ground.ada.key((await readKey(ground)).grant)),
    },
    {
      tries: "a sealed key is opened for another grant",
      meets: "key_lost",
      run: async (ground) => {
        const { client } = await ground.newcomer("erin");
        const filed = await fileRequest(client, readWish());
        const key = await takeKey(client, filed);
        const { sealed } = await client.key(key.grant);
        return outcomeOf(openSealedKey(sealed, filed.delivery.privateKey, (await readKey(ground)).request.digest));
      },
    },
    {
      tries: "a stranger releases a grant",
      meets: "not_found",
      run: async (ground) =>
        outcomeOf((await ground.newcomer("mallory")).client.release((await readKey(ground)).grant)),
    },
    {
      tries: "an approver releases what only its holder can",
      meets: "forbidden",
      run: async (ground) =>
        outcomeOf(ground.bob.release((await ground.approvedKey((await ground.newcomer("erin")).client)).grant)),
    },
    {
      tries: "a stranger revokes a grant",
      meets: "not_found",
      run: async (ground) => outcomeOf((await ground.newcomer("mallory")).client.revoke((await readKey(ground)).grant)),
    },
    {
      tries: "the key of a grant that was released",
      meets: "grant_ended",
      run: async (ground) => {
        const { client } = await ground.newcomer("erin");
        const { grant } = await readKey(ground);
        await client.release(grant);
        return outcomeOf(client.key(grant));
      },
    },
    {
      tries: "extending somebody else's grant",
      meets: "extends_invalid",
      run: async (ground) =>
        outcomeOf(
          fileRequest((await ground.newcomer("peter")).client, {
            ...readWish(),
            extends: (await readKey(ground)).grant,
          }),
        ),
    },
    {
      tries: "extending into another role",
      meets: "extends_invalid",
      run: async (ground) =>
        outcomeOf(
          fileRequest((await ground.newcomer("erin")).client, {
            ...writeWish(),
            ticket: "ONE",
            extends: (await readKey(ground)).grant,
          }),
        ),
    },
    {
      tries: "an extension moves the first grant's deadline, or shares its login",
      meets: "a login and a deadline of its own",
      run: async (ground) => {
        const { client } = await ground.newcomer("erin");
        const first = await readKey(ground);
        const before = (await client.grant(first.grant)).document.window.notAfter;
        const second = await obtainKey(client, { ...readWish("1h"), extends: first.grant });
        const after = (await client.grant(first.grant)).document.window.notAfter;
        return before === after && first.key.user !== second.key.user && first.key.secret !== second.key.secret
          ? "a login and a deadline of its own"
          : "shared";
      },
    },
    {
      tries: "evidence of somebody else's grant",
      meets: "not_found",
      run: async (ground) =>
        outcomeOf((await ground.newcomer("mallory")).client.evidence((await readKey(ground)).request.id)),
    },
  ],
};

export const resource: AttackList = {
  title: "a direct key in its holder's hands",
  attacks: [
    statement("writing with a key to read", "42501", "update public.orders set note = 'mine' where id = 1"),
    statement("deleting with a key to read", "42501", "delete from public.orders"),
    statement("emptying a table", "42501", "truncate public.orders"),
    statement("dropping a table", "42501", "drop table public.orders"),
    statement("altering a table", "42501", "alter table public.orders add column mine text"),
    statement("becoming the role behind the key", "42501", "set role app_ro"),
    statement("becoming the administrator", "42501", "set role cardea_admin"),
    statement("becoming the session's superuser", "42501", "set session authorization cardea"),
    statement("making a table", "42501", "create table public.mine as select 1 as n"),
    statement("making a schema", "42501", "create schema mine"),
    statement("making a role", "42501", "create role mine login"),
    statement("passing the role on", "42501", (own) => `grant app_ro to ${own} with admin option`),
    statement("making oneself able to make roles", "42501", (own) => `alter role ${own} createrole`),
    statement("living longer", "42501", (own) => `alter role ${own} valid until 'infinity'`),
    statement("more sessions", "42501", (own) => `alter role ${own} connection limit -1`),
    statement("reading the passwords", "42501", "select rolpassword from pg_authid"),
    statement("reading a file", "42501", "select pg_read_file('postgresql.conf')"),
    statement("running a program", "42501", "copy (select 1) to program 'id'"),
    statement("reading a file by copy", "42501", "create temp table t (line text); copy t from '/etc/passwd'"),
    statement(
      "ending the administrator's session",
      "42501",
      "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'cardea_admin' limit 1",
    ),
    statement("loading a library", "42501", "load '/tmp/mine.so'"),
    statement("an untrusted language", "42501", "create extension plpython3u"),
    {
      tries: "a fourth session where three are allowed",
      meets: "53300",
      run: async (ground) => {
        const key = await readKey(ground);
        const open = [await connected(key), await connected(key), await connected(key)];
        const outcome = await outcomeOf(connected(key));
        for (const client of open) await client.end();
        return outcome;
      },
    },
    {
      tries: "one key's secret for another's login",
      meets: "28P01",
      run: async (ground) => {
        const [one, other] = [await readKey(ground), await readKey(ground)];
        return outcomeOf(connected({ ...one, key: { ...one.key, secret: other.key.secret } }));
      },
    },
    {
      tries: "granting what one may read to everybody",
      meets: "nothing granted",
      run: async (ground) => {
        const key = await readKey(ground);
        const client = await connected(key);
        await outcomeOf(client.query("grant select on public.orders to public"));
        await client.end();
        const [row] = await ground.atResource("select has_table_privilege('public', 'public.orders', 'select') as may");
        return row?.["may"] === false ? "nothing granted" : "granted";
      },
    },
    {
      tries: "holding a session while the key is given back",
      meets: "57P01",
      run: async (ground) => {
        const key = await readKey(ground);
        const client = await connected(key);
        const thrownOut = new Promise<string>((resolve) =>
          client.on("error", (error) =>
            resolve(error instanceof DatabaseError ? (error.code ?? error.message) : error.message),
          ),
        );
        await (await ground.newcomer("erin")).client.release(key.grant);
        return Promise.race([thrownOut, sleep(5_000, "still connected")]);
      },
    },
    {
      tries: "a transaction that is open when the key is revoked commits afterwards",
      meets: "not committed",
      run: async (ground) => {
        const { client: erin } = await ground.newcomer("erin");
        const key = await ground.approvedKey(erin);
        const client = await connected(key);
        await client.query("begin");
        const { rows } = await client.query<{ id: string }>("select id from public.orders order by id limit 1");
        const id = sure(rows[0]?.id, "order");
        await client.query("update public.orders set note = 'too late' where id = $1", [id]);
        await ground.bob.revoke(key.grant);
        await ground.endOf(erin, key.grant);
        await client.query("commit").catch(() => undefined);
        await client.end().catch(() => undefined);
        const [row] = await ground.atResource("select note from public.orders where id = $1", [id]);
        return row?.["note"] === "too late" ? "committed" : "not committed";
      },
    },
    {
      tries: "coming back after the key was given back",
      meets: "28P01",
      run: async (ground) => {
        const { client: erin } = await ground.newcomer("erin");
        const key = await readKey(ground);
        await erin.release(key.grant);
        await ground.endOf(erin, key.grant);
        return outcomeOf(connected(key));
      },
    },
    {
      tries: "storming the door while the key is given back: nobody is inside afterwards",
      meets: "nobody inside",
      run: async (ground) => {
        const { client: erin } = await ground.newcomer("erin");
        const key = await readKey(ground);
        let storming = true;
        const inside: Client[] = [];
        const storm = Array.from({ length: 4 }, async () => {
          while (storming)
            await connected(key).then(
              (client) => inside.push(client),
              () => sleep(1),
            );
        });
        await sleep(100);
        await erin.release(key.grant);
        const end = await ground.endOf(erin, key.grant);
        storming = false;
        await Promise.all(storm);
        const alive = await Promise.all(
          inside.map((client) =>
            client.query("select count(*) from public.orders").then(
              () => "accepted",
              () => "gone",
            ),
          ),
        );
        await Promise.all(inside.map((client) => client.end().catch(() => undefined)));
        return end === "released" && !alive.includes("accepted")
          ? "nobody inside"
          : `${end}, ${String(alive.filter((one) => one === "accepted").length)} inside`;
      },
    },
    {
      tries: "holding a session beyond the deadline",
      meets: "57P01",
      run: async (ground) => {
        const key = await obtainKey((await ground.newcomer("erin")).client, readWish("4s"));
        const client = await connected(key);
        const thrownOut = new Promise<string>((resolve) =>
          client.on("error", (error) =>
            resolve(error instanceof DatabaseError ? (error.code ?? error.message) : error.message),
          ),
        );
        return Promise.race([thrownOut, sleep(9_000, "still connected")]);
      },
    },
    misuse(
      "settings that would meet the next session",
      "lease.misused",
      (own) => `alter role ${own} set search_path = pg_temp`,
    ),
    misuse("a large object, left behind", "lease.misused", () => "select lo_create(0)"),
    {
      tries: "coming back with a password of one's own",
      meets: "28P01",
      run: async (ground) => {
        const { client: erin } = await ground.newcomer("erin");
        const key = await readKey(ground);
        const client = await connected(key);
        await client.query(`alter role ${escapeIdentifier(key.key.user)} password 'mine'`);
        await client.end();
        await erin.release(key.grant);
        await ground.endOf(erin, key.grant);
        return outcomeOf(connected({ ...key, key: { ...key.key, secret: "mine" } }));
      },
    },
    {
      tries: "a role that looks like one of ours is made to be taken away",
      meets: "left alone",
      run: async (ground) => {
        const name = `cardea_${"0".repeat(10)}z${"0".repeat(14)}`;
        await ground.atResource(`create role ${name}`);
        await (await ground.newcomer("erin")).client.release((await readKey(ground)).grant);
        await sleep(1_500);
        const left = (await ground.loginsAtResource()).includes(name);
        await ground.atResource(`drop role if exists ${name}`);
        return left ? "left alone" : "taken away";
      },
    },
  ],
};
