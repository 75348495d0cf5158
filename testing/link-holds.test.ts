import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { revokeGrant } from "@cardea/control/grants/revoke";
import { showGrant } from "@cardea/control/grants/show";
import { resourceByName } from "@cardea/control/store/resources";
import { withdrawRequest } from "@cardea/control/requests/withdraw";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import type { RequestView } from "@cardea/core/wire/api/requests";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { newId, type GrantId } from "@cardea/core/contract/ids";
import { startTestCluster, type TestCluster } from "./cluster.ts";
import { connectThrough, obtainGatewayKey, psql, type GatewayClient } from "./gateway-keys.ts";
import { decideHeld, heldPolicy, holdStatement, requestWhen } from "./held.ts";
import {
  startLinkedControl,
  startLinkedOutpost,
  until,
  untilReady,
  type LinkedControl,
  type LinkedOutpost,
} from "./linked.ts";

let cluster: TestCluster;
let resource: TestResource;
let linked: LinkedControl;
let outpost: LinkedOutpost;
let aheadMs = 0;
/** The same server as a resource whose statements wait for two seconds, and for one in a transaction. */
let hasty: TestResource;
beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  resource = await testResource(cluster);
  const config = {
    ...resource.config,
    name: "hasty",
    gateway: { holdTimeout: "2s", transactionHoldTimeout: "1s", sessionsMax: 2 },
  };
  hasty = { ...resource, config };
  linked = await startLinkedControl(cluster, { policy: heldPolicy });
  outpost = await startLinkedOutpost(linked, [resource.config, config], {
    gateway: { postgres: { listen: "127.0.0.1:0" } },
    clock: { now: () => Date.now() + aheadMs },
    monotonic: { nowMs: () => performance.now() + aheadMs },
  });
  await untilReady(linked.control, resource.config.name);
  await untilReady(linked.control, "hasty");
}, 60_000);
afterAll(async () => {
  await outpost[Symbol.asyncDispose]();
  await linked[Symbol.asyncDispose]();
  await resource.close();
  await cluster.stop();
});

interface Opened extends GatewayClient {
  readonly grant: GrantId;
}

const clients: GatewayClient["client"][] = [];
afterEach(async () => {
  aheadMs = 0;
  await Promise.all(clients.splice(0).map((client) => client.end().catch(() => undefined)));
  await until("no login is left", async () => (await logins()).length === 0);
});

async function connect(key: DeliveredKey): Promise<GatewayClient> {
  const opened = await connectThrough(key);
  clients.push(opened.client);
  return opened;
}

async function open(at: TestResource = resource): Promise<Opened> {
  const { key, grant } = await obtainGatewayKey(linked, at);
  return { ...(await connect(key)), grant };
}

async function note(id: number): Promise<unknown> {
  return (await resource.su(`select note from orders where id = ${String(id)}`))[0]?.["note"];
}

/** What logins of ours are members of, beside what the role `read` is made of. */
async function lent(): Promise<string[]> {
  const rows = await resource.su(
    `select m.rolname || ' in ' || r.rolname as lent from pg_auth_members a join pg_roles m on m.oid = a.member join pg_roles r on r.oid = a.roleid
     where m.rolcanlogin and m.rolname like 'cardea\\_%' and r.rolname <> '${resource.reader}'`,
  );
  return rows.map((row) => String(row["lent"]));
}

async function logins(): Promise<string[]> {
  const rows = await resource.su("select rolname from pg_roles where rolcanlogin and rolname like 'cardea\\_%'");
  return rows.map((row) => String(row["rolname"]));
}

async function grantOf(grant: GrantId): Promise<string> {
  const { state, why } = await showGrant(linked.control, await linked.given.actor("root"), grant);
  return `${state} ${why ?? ""}`.trim();
}

/** What row 2 said when it was last looked at. */
const notes: { two: unknown } = { two: null };

describe("a statement that is not covered", () => {
  test("waits, is approved, and runs once; what it needed is gone again, and the session goes on", async () => {
    const session = await open();
    const held = await holdStatement(session, "update orders set note = 'approved' where id = 1");
    expect(held.words).toContain("cardea approve");
    expect(await note(1)).toBeNull();
    expect(await lent()).toEqual([]);
    await decideHeld(linked, held.request, "approve");
    expect(await held.result).toBe(1);
    expect(await note(1)).toBe("approved");
    // Nothing of the session runs before it is taken back.
    expect((await session.client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    expect(await lent()).toEqual([]);
    const { run, grant } = await requestWhen(linked, held.request, "has run", (view) => view.run?.state === "done");
    expect(run).toMatchObject({ rowCount: 1 });
    await until(
      "its grant is spent",
      async () => (await grantOf((grant ?? expect.fail("no grant")).id)) === "ended spent",
    );
    // The same again is another request.
    const again = await holdStatement(session, "update orders set note = 'approved' where id = 1");
    expect(again.request).not.toBe(held.request);
    await decideHeld(linked, again.request, "deny", "once is enough");
    expect(await again.result).toMatchObject({
      code: "42501",
      message: expect.stringContaining("once is enough") as string,
    });
    expect((await session.client.query("select count(*)::int as n from orders")).rows).toEqual([{ n: 3 }]);
  }, 60_000);

  test("waits with its parameters, inside an open transaction", async () => {
    const session = await open();
    await session.client.query("begin");
    const held = await holdStatement(session, "update orders set note = $1 where id = $2", ["in a transaction", 2]);
    await decideHeld(linked, held.request, "approve");
    expect(await held.result).toBe(1);
    expect((await session.client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    expect(await lent()).toEqual([]);
    expect(await note(2)).toBeNull();
    await session.client.query("commit");
    expect(await note(2)).toBe("in a transaction");
  }, 60_000);

  test("is refused by policy at once, with its words", async () => {
    const session = await open();
    await expect(session.client.query("delete from orders where id = 3")).rejects.toMatchObject({
      code: "42501",
      message: expect.stringContaining("rows are kept") as string,
    });
  }, 60_000);

  test("is withdrawn by the one who asked, elsewhere", async () => {
    const session = await open();
    const held = await holdStatement(session, "update orders set note = 'withdrawn' where id = 1");
    await withdrawRequest(linked.control, await linked.given.actor("ada"), held.request);
    expect(await held.result).toMatchObject({ code: "57014" });
    expect(await note(1)).toBe("approved");
  }, 60_000);

  test("is withdrawn by Ctrl-C in psql", async () => {
    const { key } = await obtainGatewayKey(linked, resource);
    const script = "update orders set note = 'interrupted' where id = 1;\n";
    let request: RequestView["id"] | undefined;
    const { err } = await psql(key, script, (text, interrupt) => {
      const id = /req_[0-9a-z]+/.exec(text)?.[0];
      if (id === undefined || request !== undefined) return;
      // Of the form of an id.
      request = id as RequestView["id"];
      interrupt();
    });
    expect(err).toContain("ERROR:  it was withdrawn and did not run");
    await requestWhen(
      linked,
      request ?? expect.fail("no request"),
      "is withdrawn",
      ({ state }) => state === "withdrawn",
    );
    expect(await note(1)).toBe("approved");
  }, 60_000);

  test("is withdrawn when its client is gone", async () => {
    const session = await open();
    const held = await holdStatement(session, "update orders set note = 'gone' where id = 1");
    held.result.catch(() => undefined);
    await session.client.end();
    await requestWhen(linked, held.request, "is withdrawn", ({ state }) => state === "withdrawn");
  }, 60_000);

  test("waits no longer than the resource says, and shorter where its transaction holds locks", async () => {
    const session = await open(hasty);
    const held = await holdStatement(session, "update orders set note = 'late' where id = 1");
    expect(await held.result).toMatchObject({ code: "57014", message: expect.stringContaining("within 2s") as string });
    await requestWhen(linked, held.request, "is over", ({ state }) => state === "expired");
    await session.client.query("begin");
    const locked = await holdStatement(session, "update orders set note = 'late' where id = 1");
    expect(await locked.result).toMatchObject({ message: expect.stringContaining("within 1s") as string });
    await session.client.query("rollback");
    expect((await session.client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    expect(await note(1)).toBe("approved");
  }, 60_000);

  test("waits beside another of the same key, each for itself", async () => {
    const { key } = await obtainGatewayKey(linked, resource);
    const [one, other] = [await connect(key), await connect(key)];
    const first = await holdStatement(one, "update orders set note = 'first' where id = 1");
    const second = await holdStatement(other, "update orders set note = 'second' where id = 2");
    await decideHeld(linked, second.request, "approve");
    expect(await second.result).toBe(1);
    expect([await note(1), await note(2)]).toEqual(["approved", "second"]);
    await decideHeld(linked, first.request, "approve");
    expect(await first.result).toBe(1);
    expect([await note(1), await note(2)]).toEqual(["first", "second"]);
    notes.two = "second";
  }, 60_000);

  test("ends with its session's own grant, and an approval that comes later runs nothing", async () => {
    const session = await open();
    const held = await holdStatement(session, "update orders set note = 'revoked' where id = 1");
    await revokeGrant(linked.control, await linked.given.actor("root"), session.grant, { comment: "" });
    expect(await held.result).toMatchObject({ code: "57P01" });
    await requestWhen(linked, held.request, "is withdrawn", ({ state }) => state === "withdrawn");
    await expect(decideHeld(linked, held.request, "approve")).rejects.toMatchObject({ code: "request_not_pending" });
    expect(await note(1)).toBe("first");
  }, 60_000);

  test("whose approval is taken back while it runs goes with its session", async () => {
    const before = await note(1);
    const session = await open();
    const held = await holdStatement(
      session,
      "update orders set note = 'slow' from (select pg_sleep(30)) as slowly where orders.id = 1",
    );
    const { grant } = await decideHeld(linked, held.request, "approve");
    await requestWhen(linked, held.request, "runs", ({ run }) => run?.state === "running");
    await revokeGrant(linked.control, await linked.given.actor("root"), (grant ?? expect.fail("no grant")).id, {
      comment: "",
    });
    expect(await held.result).toMatchObject({ code: "57P01" });
    await requestWhen(linked, held.request, "did not happen", ({ run }) => run?.state === "failed");
    expect(await note(1)).toBe(before);
  }, 60_000);

  test("ends its session and login where what was lent cannot be taken back", async () => {
    const session = await open();
    const held = await holdStatement(
      session,
      "update orders set note = 'kept' from (select pg_sleep(1)) as slowly where orders.id = 1",
    );
    await decideHeld(linked, held.request, "approve");
    await requestWhen(linked, held.request, "runs", ({ run }) => run?.state === "running");
    const away = `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${resource.admin}'`;
    await resource.su(`alter role ${resource.admin} nologin; ${away}`);
    try {
      expect(await held.result).toBe(1);
      expect(await session.ended).toMatchObject({ code: "57P01" });
      expect((await session.ended).message).toContain("could not be taken back");
      expect(await lent()).toHaveLength(1);
    } finally {
      await resource.su(`alter role ${resource.admin} login`);
    }
    await until("nothing is lent", async () => (await lent()).length === 0);
    await until("the resource is well", async () => {
      return (await resourceByName(linked.control.db, resource.config.name))?.state === "ready";
    });
    await requestWhen(linked, held.request, "is done", ({ run }) => run?.state === "done");
    expect(await note(1)).toBe("kept");
  }, 60_000);

  test("runs once, though its task is sent again, also under another id", async () => {
    const session = await open();
    const held = await holdStatement(session, "update orders set note = coalesce(note, '') || '+' where id = 3");
    const { grant } = await decideHeld(linked, held.request, "approve");
    expect(await held.result).toBe(1);
    const id = grant?.id ?? expect.fail("no grant");
    await requestWhen(linked, held.request, "has run", (view) => view.run?.state === "done");
    const [task] = await linked.world.sql("select id, payload from tasks where grant_id = $1 and type = 'run'", [id]);
    const answered = async (): Promise<unknown[]> => {
      linked.control.wake.signal("tasks");
      return await until("it is answered", async () => {
        const rows = await linked.world.sql(
          "select state, code from tasks where grant_id = $1 and type = 'run' order by created_at",
          [id],
        );
        return rows.every(({ state }) => state !== "open") && rows.map(({ code }) => code);
      });
    };
    // As if the receipt had been lost with the control plane's last moments.
    await linked.world.sql("delete from link_inbox");
    await linked.world.sql("update tasks set state = 'open', done_at = null, next_at = now() where id = $1", [
      task?.["id"],
    ]);
    expect(await answered()).toEqual([null]);
    await linked.world.sql(
      "insert into tasks (id, outpost, type, grant_id, payload, next_at, created_at) values ($1, $2, 'run', $3, $4, now(), now())",
      [
        newId("task", linked.control.clock, linked.control.random),
        outpost.outpost.id,
        id,
        JSON.stringify(task?.["payload"]),
      ],
    );
    expect(await answered()).toEqual([null, "evidence_replayed"]);
    expect(await note(3)).toBe("+");
  }, 60_000);

  test("is refused at once while the control plane's last word is too old; the session goes on", async () => {
    const session = await open();
    await linked.hangUp();
    await until("the link is down", () => !outpost.outpost.connected());
    aheadMs = 61_000;
    await new Promise((done) => setTimeout(done, 200));
    await expect(session.client.query("update orders set note = 'stale' where id = 1")).rejects.toMatchObject({
      code: "42501",
      message: expect.stringContaining("approval cannot be asked for now") as string,
    });
    expect((await session.client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    aheadMs = 0;
    await linked.pickUp();
    await until("the link is up", () => outpost.outpost.connected());
  }, 60_000);

  test("that is approved while the link is down and nobody waits any more runs nowhere", async () => {
    const before = await note(2);
    const { key } = await obtainGatewayKey(linked, resource);
    const [one, other] = [await connect(key), await connect(key)];
    const text = "update orders set note = 'nobody waits' where id = 2";
    const [held, beside] = [await holdStatement(one, text), await holdStatement(other, text)];
    await linked.hangUp();
    await until("the link is down", () => !outpost.outpost.connected());
    await decideHeld(linked, held.request, "approve");
    await one.client.end();
    await linked.pickUp();
    const over = await requestWhen(
      linked,
      held.request,
      "is over",
      ({ grant }) => grant?.state === "ended" || grant?.state === "failed",
    );
    expect(over.run?.state).toBeUndefined();
    expect(await note(2)).toBe(before);
    // The same text in another session of the same key waits for its own approval.
    await decideHeld(linked, beside.request, "deny");
    expect(await beside.result).toMatchObject({ code: "42501" });
    expect(await note(2)).toBe(before);
  }, 60_000);

  test.each([1, 2, 3, 4, 5, 6])(
    "that is approved as its client leaves ran or did not, and is known as that (%i)",
    async (round) => {
      const session = await open();
      const text = `race ${String(round)}`;
      const held = await holdStatement(session, `update orders set note = '${text}' where id = 2`);
      const [decided] = await Promise.allSettled([
        decideHeld(linked, held.request, "approve"),
        new Promise((done) => setTimeout(done, round * 8)).then(() => session.client.end()),
      ]);
      const over = await requestWhen(linked, held.request, "is over", ({ state, grant }) =>
        state === "approved" ? grant?.state === "ended" || grant?.state === "failed" : state !== "pending",
      );
      if (decided.status === "rejected") expect(decided.reason).toMatchObject({ code: "request_not_pending" });
      expect(await note(2)).toBe(over.run?.state === "done" ? text : notes.two);
      notes.two = await note(2);
    },
    60_000,
  );

  test.each([1, 2, 3])(
    "that is approved as its session's grant is revoked ran or did not, and nothing is left (%i)",
    async (round) => {
      const session = await open();
      const text = `revoked ${String(round)}`;
      const held = await holdStatement(session, `update orders set note = '${text}' where id = 2`);
      await Promise.allSettled([
        decideHeld(linked, held.request, "approve"),
        new Promise((done) => setTimeout(done, round * 10)).then(async () =>
          revokeGrant(linked.control, await linked.given.actor("root"), session.grant, { comment: "" }),
        ),
      ]);
      const over = await requestWhen(linked, held.request, "is over", ({ state, grant }) =>
        state === "approved" ? grant?.state === "ended" || grant?.state === "failed" : state !== "pending",
      );
      await until("the session's grant is over", async () => (await grantOf(session.grant)) === "ended revoked");
      expect(await note(2)).toBe(over.run?.state === "done" ? text : notes.two);
      notes.two = await note(2);
      expect(await lent()).toEqual([]);
    },
    60_000,
  );
});

describe("a resource", () => {
  test("takes as many sessions as it says", async () => {
    const { key } = await obtainGatewayKey(linked, hasty);
    const { key: other } = await obtainGatewayKey(linked, hasty);
    await connect(key);
    const second = await connect(other);
    await expect(connect(key)).rejects.toMatchObject({ code: "53300" });
    await second.client.end();
    await until("there is room", () => connect(key).catch(() => undefined));
  }, 60_000);

  test("that takes nobody uses no use of a key up", async () => {
    const { key, grant } = await obtainGatewayKey(linked, resource, { limits: { uses: 1 } });
    const database = resource.databases[0] ?? "";
    await resource.su(`alter database ${database} connection limit 0`);
    try {
      await expect(connect(key)).rejects.toMatchObject({ code: "53300" });
    } finally {
      await resource.su(`alter database ${database} connection limit -1`);
    }
    const { client } = await until("the key opens", () => connect(key).catch(() => undefined));
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await client.end();
    await until("it is spent", async () => (await grantOf(grant)) === "ended spent");
  }, 60_000);
});
