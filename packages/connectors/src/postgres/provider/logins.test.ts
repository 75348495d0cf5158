import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, DatabaseError } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { newNativeName } from "@cardea/core/contract/native-name";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import { FaultProxy } from "../../conformance/fault-proxy.ts";
import type { Provider } from "../../connector.ts";
import { systemRandom } from "../fixture/system.ts";
import { testResource, type TestResource } from "../fixture/resource.ts";

const signal = (): AbortSignal => AbortSignal.timeout(20_000);

for (const version of testVersions) {
  const available = await testServer(version);

  describe.skipIf(!available)(`logins on postgresql ${version}`, () => {
    let cluster: TestCluster;
    let resource: TestResource;
    let provider: Provider;

    beforeAll(async () => {
      cluster = await startTestCluster({ version, settings: { log_statement: "all", max_prepared_transactions: "4" } });
      resource = await testResource(cluster);
      provider = resource.open();
    });
    afterEach(async () => {
      // A failed test must not fail the next one.
      const names = await resource.logins();
      if (names.length > 0) await resource.su(`drop role ${names.join(", ")}`).catch(() => undefined);
    });
    afterAll(async () => {
      await resource.close();
      await cluster.stop();
    });

    const ended = (client: Client): Promise<void> => new Promise((end) => client.once("end", () => end()));

    describe("ending", () => {
      test("`VALID UNTIL` stops new logins only; the end closes what is open", async () => {
        const order = resource.order("read", { notAfterMs: new Date().getTime() + 700 });
        const login = await provider.create(order, signal());
        const client = await resource.client(login);
        await sleep(900);
        await expect(resource.client(login)).rejects.toMatchObject({ code: "28P01" });
        expect((await client.query("select count(*)::int as n from orders")).rows).toEqual([{ n: 3 }]);
        const closed = ended(client);
        expect(await provider.end(order.nativeName, signal())).toEqual({ closedSessions: 1, misuse: [] });
        await closed;
        expect(await resource.logins()).toEqual([]);
      });

      test("closes sessions in other databases, idle in transaction, owning temporary tables, sleeping and having become the role", async () => {
        const order = resource.order("read");
        const login = await provider.create(order, signal());
        const clients = await Promise.all([
          resource.client(login, "postgres"),
          ...[1, 2, 3, 4].map(() => resource.client(login)),
        ]);
        const [elsewhere, idle, temporary, sleeping, become] = clients;
        await idle?.query("begin; select * from orders for share").catch(() => undefined);
        await temporary?.query("create temporary table mine as select 1 as n");
        sleeping?.query("select pg_sleep(60)").catch(() => undefined);
        if (version === 15) await become?.query(`set role ${resource.reader}`);
        const closed = Promise.all(clients.map(ended));
        expect(elsewhere).toBeDefined();
        expect(await provider.end(order.nativeName, signal())).toEqual({ closedSessions: 5, misuse: [] });
        await closed;
        expect(await resource.logins()).toEqual([]);
      });

      test("waits for a session that takes its time to go: its temporary tables are not taken for something left behind", async () => {
        const order = resource.order("read");
        const client = await resource.client(await provider.create(order, signal()));
        await client.query(
          "do $$ begin for i in 1..400 loop execute format('create temporary table mine%s (i int, t text)', i); commit; end loop; end $$",
        );
        expect(await provider.end(order.nativeName, signal())).toEqual({ closedSessions: 1, misuse: [] });
        expect(await resource.su("select count(*)::int as n from pg_class where relname like 'mine%'")).toEqual([
          { n: 0 },
        ]);
      });

      test("a connection still waiting with its password is refused when it comes, and does not hold up the end", async () => {
        const order = resource.order("read");
        const login = await provider.create(order, signal());
        let answer: ((secret: string) => void) | undefined;
        const late = new Client({
          host: cluster.host,
          port: cluster.port,
          user: login.user,
          database: resource.databases[0],
          password: () => new Promise<string>((given) => (answer = given)),
        });
        late.on("error", () => undefined);
        const outcome = late.connect().then(
          () => "entered",
          (error: unknown) => (error instanceof DatabaseError ? error.code : error),
        );
        await expect.poll(() => answer).toBeDefined();
        const before = performance.now();
        await provider.end(order.nativeName, signal());
        expect(performance.now() - before).toBeLessThan(2_000);
        answer?.(login.secret);
        expect(await outcome).toMatch(/^28/);
      });

      test("a connection between its login check and the list of sessions is waited for and closed", async () => {
        const order = resource.order("read");
        const login = await provider.create(order, signal());
        const gate = `gate_${order.nativeName.slice(7, 17)}`;
        await resource.su(`create database ${gate}`, "postgres");
        // Whoever enters a database locks its name, after the login check and before being listed.
        await resource.su(`begin; alter database ${gate} rename to ${gate}_moved`, "postgres");
        const entering = resource.client(login, gate).then(
          () => "entered",
          () => "refused",
        );
        await expect
          .poll(() =>
            resource.su(
              `select count(*)::int as n from pg_locks where locktype = 'object' and classid = 'pg_database'::regclass and not granted`,
              "postgres",
            ),
          )
          .toEqual([{ n: 1 }]);
        let over = false;
        const ending = provider.end(order.nativeName, signal()).finally(() => (over = true));
        await sleep(400);
        expect(over).toBe(false);
        await resource.su("rollback", "postgres");
        await ending;
        expect(
          await resource.su(`select count(*)::int as n from pg_stat_activity where datname = '${gate}'`, "postgres"),
        ).toEqual([{ n: 0 }]);
        expect(await entering).toMatch(/entered|refused/);
        await resource.su(`drop database ${gate}`, "postgres");
      });

      test("sessions that reconnect as fast as they can do not outlive the end", async () => {
        const order = resource.order("read");
        const login = await provider.create(order, signal());
        let going = true;
        const storm = Array.from({ length: 4 }, async () => {
          while (going) {
            const client = await resource.client(login).catch(() => undefined);
            await client?.query("select pg_sleep(0.01)").catch(() => undefined);
          }
        });
        await sleep(150);
        await provider.end(order.nativeName, signal());
        const alive = await resource.su(
          `select count(*)::int as n from pg_stat_activity where usename like 'cardea%' or (usename is null and usesysid is not null)`,
        );
        going = false;
        await Promise.all(storm);
        expect(alive).toEqual([{ n: 0 }]);
      });

      test("shuts before it closes: with sessions that cannot be closed the login is shut and has no privileges", async () => {
        const order = resource.order("read");
        await provider.create(order, signal());
        const proxy = await FaultProxy.start(cluster);
        const cut = resource.open((config) => ({ ...config, connect: { ...config.connect, port: proxy.port } }));
        await cut.inspect(signal());
        await cut.listOwn(signal());
        // Turn 1 looks, turn 2 shuts; its answer is lost.
        proxy.arm({ mode: "unanswered", turn: 2 });
        await expect(cut.end(order.nativeName, signal())).rejects.toMatchObject({
          code: "resource_unreachable",
          effect: "maybe",
        });
        expect(
          await resource.su(`select rolcanlogin, rolpassword, rolconnlimit, (select count(*)::int from pg_auth_members where member = r.oid) as memberships
            from pg_authid r where rolname = '${order.nativeName}'`),
        ).toEqual([{ rolcanlogin: false, rolpassword: null, rolconnlimit: 0, memberships: 0 }]);
        await cut.end(order.nativeName, signal());
        expect(await resource.logins()).toEqual([]);
        await proxy.close();
      });
    });

    describe("an absent login", () => {
      test("is a success only once the backend that was making it is gone", async () => {
        const proxy = await FaultProxy.start(cluster);
        const dying = resource.open((config) => ({ ...config, connect: { ...config.connect, port: proxy.port } }));
        await dying.inspect(signal());
        await resource.su("begin; lock table pg_authid in share mode");
        const order = resource.order("read");
        const creating = dying.create(order, signal()).catch((error: unknown) => error);
        await expect
          .poll(() =>
            resource.su(
              `select count(*)::int as n from pg_locks where relation = 'pg_authid'::regclass and not granted`,
            ),
          )
          .toEqual([{ n: 1 }]);
        proxy.cutAll();
        expect(await creating).toMatchObject({ effect: "maybe" });
        // Another process takes over. It has no memory of the first one's connections.
        const next = resource.open();
        await next.end(order.nativeName, signal());
        expect(
          await resource.su(
            `select count(*)::int as n from pg_locks where relation = 'pg_authid'::regclass and not granted`,
          ),
        ).toEqual([{ n: 0 }]);
        await resource.su("commit");
        await sleep(100);
        expect(await resource.logins()).toEqual([]);
        await proxy.close();
      });

      test("likewise where the provider itself gave up waiting", async () => {
        const own = resource.open();
        await own.listOwn(signal());
        await resource.su("begin; lock table pg_authid in share mode");
        const order = resource.order("read");
        const given = new AbortController();
        const creating = own.create(order, given.signal).catch((error: unknown) => error);
        await expect
          .poll(() =>
            resource.su(
              `select count(*)::int as n from pg_locks where relation = 'pg_authid'::regclass and not granted`,
            ),
          )
          .toEqual([{ n: 1 }]);
        given.abort();
        expect(await creating).toMatchObject({ code: "cancelled", effect: "maybe" });
        await own.end(order.nativeName, signal());
        await resource.su("commit");
        await sleep(100);
        expect(await resource.logins()).toEqual([]);
      });
    });

    describe("a key that alters itself", () => {
      test("is found to have changed its settings", async () => {
        const order = resource.order("read");
        const client = await resource.client(await provider.create(order, signal()));
        await client.query(
          `alter role ${order.nativeName} set search_path = 'evil'; alter role ${order.nativeName} in database ${resource.databases[0] ?? ""} set work_mem = '1GB'`,
        );
        const { misuse } = await provider.end(order.nativeName, signal());
        expect(misuse).toEqual(["the login's settings were changed: `search_path`, `work_mem`"]);
      });

      test("is found to have changed its password, where the administrator may read verifiers", async () => {
        const order = resource.order("read");
        const login = await provider.create(order, signal());
        await (await resource.client(login)).query(`alter role ${order.nativeName} password 'shared with a friend'`);
        const asSuperuser = resource.open((config) => ({
          ...config,
          connect: { ...config.connect, user: cluster.superuser.user, password: { value: cluster.superuser.password } },
        }));
        expect((await asSuperuser.end(order.nativeName, signal())).misuse).toEqual([
          "the login's password was changed",
        ]);
        const untouched = resource.order("read");
        await asSuperuser.create(untouched, signal());
        expect((await asSuperuser.end(untouched.nativeName, signal())).misuse).toEqual([]);
      });

      test("and one that others altered: attributes, foreign memberships, members", async () => {
        const order = resource.order("read");
        const other = `friend_${order.nativeName.slice(7, 17)}`;
        await provider.create(order, signal());
        await resource.su(
          `create role ${other}; alter role ${order.nativeName} createdb; grant pg_read_all_data to ${order.nativeName}; grant ${order.nativeName} to ${other}`,
        );
        const { misuse } = await provider.end(order.nativeName, signal());
        expect(misuse).toEqual([
          "the login was given the attributes `createdb`",
          "`postgres` made the login a member of `pg_read_all_data`",
          `\`${other}\` was made a member of the login`,
        ]);
        expect(await resource.logins()).toEqual([]);
        await resource.su(`drop role ${other}`);
      });
    });

    describe("what a login is", () => {
      test("has a verifier of 4,096 rounds that we made; the server and its log never see the secret", async () => {
        const order = resource.order("read");
        const login = await provider.create(order, signal());
        const [row] = await resource.su(`select rolpassword from pg_authid where rolname = '${order.nativeName}'`);
        expect(String(row?.["rolpassword"])).toMatch(
          /^SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/,
        );
        expect(login.secret).toMatch(/^[A-Za-z0-9_-]{43}$/);
        await (await resource.client(login)).end();
        const log = await readFile(join(cluster.socketDir, "log"), "utf8");
        expect(log).toContain(order.nativeName);
        expect(log).not.toContain(login.secret);
        await provider.end(order.nativeName, signal());
      });

      test("opens as many sessions as it may, and no more", async () => {
        const order = resource.order("read", { sessions: 2 });
        const login = await provider.create(order, signal());
        await resource.client(login);
        await resource.client(login);
        await expect(resource.client(login)).rejects.toMatchObject({ code: "53300" });
        expect((await provider.end(order.nativeName, signal())).closedSessions).toBe(2);
      });

      test("is of 32 bytes, says whose it is, and has no attribute", async () => {
        const order = resource.order("read");
        await provider.create(order, signal());
        expect(Buffer.byteLength(order.nativeName)).toBeLessThanOrEqual(63);
        expect(
          await resource.su(`select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as strong,
            shobj_description(oid, 'pg_authid') like 'Cardea lease ${order.lease}, %' as says, rolvaliduntil from pg_roles where rolname = '${order.nativeName}'`),
        ).toEqual([{ strong: false, says: true, rolvaliduntil: new Date(order.notAfterMs) }]);
        await provider.end(order.nativeName, signal());
      });

      test(
        version === 15 ? "can become its role, which is why the role must be harmless" : "cannot become its role",
        async () => {
          const order = resource.order("write");
          const client = await resource.client(await provider.create(order, signal()));
          const [row] = await resource.su(
            `select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid where m.member = '${order.nativeName}'::regrole`,
          );
          const become = client.query(`set role ${String(row?.["rolname"])}`);
          if (version === 15) await become;
          else await expect(become).rejects.toMatchObject({ code: "42501" });
          await provider.end(order.nativeName, signal());
        },
      );

      test("a name that does not bear our mark is never touched", async () => {
        const stranger = newNativeName(systemRandom.bytes(32), new Date().getTime() + 60_000, systemRandom).name;
        await resource.su(`create role ${stranger} login`);
        await expect(provider.end(stranger, signal())).rejects.toThrow(TypeError);
        await expect(provider.create(resource.order("read", { nativeName: stranger }), signal())).rejects.toThrow(
          TypeError,
        );
        const listing = await provider.listOwn(signal());
        expect(listing.forged).toContain(stranger);
        expect(listing.ours).toEqual([]);
        expect(await resource.su(`select rolcanlogin from pg_roles where rolname = '${stranger}'`)).toEqual([
          { rolcanlogin: true },
        ]);
        await resource.su(`drop role ${stranger}`);
      });
    });

    describe("a native role given to a direct key", () => {
      const flaws: readonly [string, (role: string) => string, RegExp][] = [
        ["can log in", (role) => `alter role ${role} login`, /can log in/],
        ["has an attribute", (role) => `alter role ${role} createdb`, /`createdb`/],
        [
          "owns something",
          (role) => `create table owned_by_${role} (i int); alter table owned_by_${role} owner to ${role}`,
          /owns `table public\.owned_by_/,
        ],
        [
          "can create in a schema",
          (role) => `grant create on schema public to ${role}`,
          /create in `schema public of db0_/,
        ],
        [
          "can create in its database",
          (role) => `do $$ begin execute format('grant create on database %I to ${role}', current_database()); end $$`,
          /create in `database db0_/,
        ],
        [
          "is a member of a powerful role",
          (role) => `grant pg_execute_server_program to ${role}`,
          /member of `pg_execute_server_program`/,
        ],
        [
          "inherits one that owns",
          (role) =>
            `create role over_${role}; grant over_${role} to ${role}; create schema s_${role} authorization over_${role}`,
          /owns `schema s_/,
        ],
        [
          "can admit others",
          (role) => `create role in_${role}; grant in_${role} to ${role} with admin option`,
          /can admit members to/,
        ],
      ];

      test.each(flaws)("must not be one that %s: refused at registration and at issue", async (_name, harm, words) => {
        const role = `risky_${systemRandom.bytes(4).reduce((text, byte) => text + byte.toString(16), "")}`;
        await resource.su(`create role ${role} nologin; grant ${role} to ${resource.admin} with admin option`);
        const risky = resource.open((config) => ({
          ...config,
          roles: { risky: { member: [role], actions: ["sql.*"] } },
        }));
        const before = await risky.inspect(signal());
        expect(before.missing).toEqual([]);
        const patterns = before.roles["risky"]?.patterns ?? [];
        const order = resource.order("risky", { patterns });
        await risky.create(order, signal());
        await risky.end(order.nativeName, signal());

        await resource.su(harm(role));
        const after = await risky.inspect(signal());
        expect(after.roles["risky"]?.vias).toEqual(["gateway"]);
        expect(after.warnings.find((warning) => warning.includes("`risky`"))).toMatch(words);
        expect(after.offers.find((offer) => offer.nativeRole === role)).toMatchObject({
          safeForDirect: false,
          why: expect.stringMatching(words) as string,
        });
        await expect(risky.create(resource.order("risky", { patterns }), signal())).rejects.toMatchObject({
          code: "resource_role_unsafe",
          message: expect.stringMatching(words) as string,
        });
        expect(await resource.logins()).toEqual([]);
      });
    });
  });
}
