import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { revokeGrant } from "@cardea/control/grants/revoke";
import { previewAction } from "@cardea/control/requests/preview";
import { fetchResult } from "@cardea/control/runs/result";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import { PreviewAction } from "@cardea/core/wire/api/runs";
import type { RequestView } from "@cardea/core/wire/api/requests";
import { newDeliveryKey, openSealedResult, type DeliveryKey } from "@cardea/sdk/delivery-key";
import { startTestCluster, type TestCluster } from "./cluster.ts";
import { decideHeld, heldPolicy, requestWhen } from "./held.ts";
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
beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  resource = await testResource(cluster, { ddl: true });
  linked = await startLinkedControl(cluster, { policy: heldPolicy });
  outpost = await startLinkedOutpost(linked, [resource.config], { gateway: { postgres: { listen: "127.0.0.1:0" } } });
  await untilReady(linked.control, resource.config.name);
}, 60_000);
afterEach(async () => {
  await until("no login is left", async () => (await logins()).length === 0);
});
afterAll(async () => {
  await outpost[Symbol.asyncDispose]();
  await linked[Symbol.asyncDispose]();
  await resource.close();
  await cluster.stop();
});

async function logins(): Promise<string[]> {
  const rows = await resource.su("select rolname from pg_roles where rolcanlogin and rolname like 'cardea\\_%'");
  return rows.map((row) => String(row["rolname"]));
}

async function note(id: number): Promise<unknown> {
  return (await resource.su(`select note from orders where id = ${String(id)}`))[0]?.["note"];
}

interface AskedRun {
  readonly view: RequestView;
  readonly delivery: DeliveryKey;
}

async function ask(statement: string, params?: string[]): Promise<AskedRun> {
  const delivery = await newDeliveryKey();
  const what = { database: resource.databases[0] ?? "", statement, ...(params !== undefined && { params }) };
  const view = await linked.given.submit("ada", {
    resource: resource.config.name,
    ask: { action: { type: "sql", what } },
    window: { duration: "5m" },
    deliverTo: delivery.publicKey,
  });
  return { view, delivery };
}

async function ended({ view }: AskedRun): Promise<RequestView> {
  return await requestWhen(
    linked,
    view.id,
    "has run",
    ({ run, grant }) => grant?.state === "failed" || (run !== undefined && run.state !== "running"),
  );
}

async function answer({ view, delivery }: AskedRun): Promise<unknown> {
  const sealed = await fetchResult(linked.control, await linked.given.actor("ada"), view.id);
  const { grant } = await ended({ view, delivery });
  return JSON.parse(await openSealedResult(sealed, delivery.privateKey, grant?.digest ?? ""));
}

describe("an action outside a session", () => {
  test("is previewed without being filed", async () => {
    const what = { database: resource.databases[0] ?? "", statement: "update orders set note = 'x' where id = 1" };
    const input = PreviewAction.parse({ resource: resource.config.name, action: { type: "sql", what } });
    const seen = await previewAction(linked.control, await linked.given.actor("ada"), input);
    expect(seen).toMatchObject({ action: { name: "sql.update", what }, decision: { effect: "review" } });
    expect(await note(1)).toBeNull();
  }, 60_000);

  test("runs once when it is approved, and its answer is the requester's alone", async () => {
    const asked = await ask("update orders set note = $1 where id = $2 returning id, note", ["run", "1"]);
    expect(asked.view.state).toBe("pending");
    expect(await note(1)).toBeNull();
    await decideHeld(linked, asked.view.id, "approve");
    const { run } = await ended(asked);
    expect(run).toMatchObject({ state: "done", rowCount: 1 });
    expect(await note(1)).toBe("run");
    expect(await answer(asked)).toMatchObject({ rows: [["1", "run"]], command: "UPDATE 1" });
    const spent = await requestWhen(linked, asked.view.id, "is spent", ({ grant }) => grant?.state === "ended");
    expect(spent.grant).toMatchObject({ state: "ended" });
  }, 60_000);

  test("that the server refuses is told with its words, and changes nothing", async () => {
    const asked = await ask("update orders set id = 2 where id = 1");
    await decideHeld(linked, asked.view.id, "approve");
    const { run } = await ended(asked);
    expect(run).toMatchObject({ state: "failed", error: { code: "23505" } });
    expect(await note(1)).toBe("run");
  }, 60_000);

  test("does not run where what it touches changed after it was approved", async () => {
    const asked = await ask("update payments set cents = 1");
    // The administrator may give what roles name of the new one too, so that the resource stays as it should be.
    await resource.su(
      `alter table payments rename to payments_old; create table payments (id int, cents int);
       grant all on payments to ${resource.admin} with grant option`,
    );
    try {
      await decideHeld(linked, asked.view.id, "approve");
      const { grant, run } = await ended(asked);
      expect(grant).toMatchObject({ state: "failed", why: "binding_changed" });
      expect(run).toBeUndefined();
    } finally {
      await resource.su("drop table payments; alter table payments_old rename to payments");
    }
  }, 60_000);

  test("runs as the owner where it defines something", async () => {
    const asked = await ask("create index orders_note on orders (note)");
    await decideHeld(linked, asked.view.id, "approve");
    // The whole of it, so that a failure says why.
    expect(await ended(asked)).toMatchObject({ run: { state: "done" } });
    const rows = await resource.su("select count(*)::int as n from pg_indexes where indexname = 'orders_note'");
    expect(rows).toEqual([{ n: 1 }]);
  }, 60_000);

  test("is stopped when it is revoked while it runs", async () => {
    const asked = await ask("update orders set note = 'slow' from (select pg_sleep(30)) as slowly where orders.id = 2");
    const { grant } = await decideHeld(linked, asked.view.id, "approve");
    await requestWhen(linked, asked.view.id, "runs", ({ run }) => run?.state === "running");
    await revokeGrant(linked.control, await linked.given.actor("root"), (grant ?? expect.fail("no grant")).id, {
      comment: "",
    });
    expect((await ended(asked)).run).toMatchObject({ state: "failed", error: { code: "cancelled" } });
    expect(await note(2)).toBeNull();
  }, 60_000);

  test("is refused before it is filed where it cannot be asked for", async () => {
    await expect(ask("do $$ begin perform 1; end $$")).rejects.toMatchObject({ code: "action_refused" });
    await expect(ask("not a statement")).rejects.toMatchObject({ code: "action_refused" });
    await expect(ask("delete from orders where id = 1")).rejects.toMatchObject({ code: "policy_denied" });
  }, 60_000);
});
