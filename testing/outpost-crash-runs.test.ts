import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import type { RequestView } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import { pausePoints, type PausePoint } from "@cardea/outpost/pause-points";
import { newDeliveryKey } from "@cardea/sdk/delivery-key";
import { startTestCluster, type TestCluster } from "./cluster.ts";
import { connectThrough, freePort, obtainGatewayKey } from "./gateway-keys.ts";
import { decideHeld, heldPolicy, holdStatement, requestWhen } from "./held.ts";
import { startLinkedControl, until, untilReady, type LinkedControl } from "./linked.ts";
import { makeOutpostHome, type OutpostHome, type OutpostProcess } from "./outpost-process.ts";

let cluster: TestCluster;
let resource: TestResource;
let linked: LinkedControl;
let home: OutpostHome;
beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  resource = await testResource(cluster, { ddl: true });
  linked = await startLinkedControl(cluster, { policy: heldPolicy });
  const listen = `127.0.0.1:${String(await freePort())}`;
  home = await makeOutpostHome(linked, [resource.config], {}, { postgres: { listen } });
}, 60_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
  await linked[Symbol.asyncDispose]();
  await resource.close();
  await cluster.stop();
});
const processes: OutpostProcess[] = [];
async function start(pauseAt?: string): Promise<OutpostProcess> {
  const started = await home.start(pauseAt);
  processes.push(started);
  return started;
}
afterEach(async () => {
  for (const started of processes.splice(0)) await started.kill();
  await resource.su("update orders set note = null where id = 1");
});

const inSession: readonly [PausePoint, "done" | "failed"][] = [
  ["run.intended", "failed"],
  ["run.lent", "failed"],
  ["run.running", "failed"],
  ["run.ran", "done"],
  ["run.settled", "done"],
];
const byItself = inSession.filter(([point]) => point !== "run.lent");

async function nothingLeft(): Promise<void> {
  await until("nothing is left", async () => {
    const rows = await resource.su(
      `select rolname from pg_roles where rolcanlogin and rolname like 'cardea\\_%'
       union all select m.rolname from pg_auth_members a join pg_roles m on m.oid = a.member where m.rolname like 'cardea\\_%' and m.rolcanlogin`,
    );
    return rows.length === 0;
  });
}

async function note(): Promise<unknown> {
  return (await resource.su("select note from orders where id = 1"))[0]?.["note"];
}

async function settled(id: RequestView["id"]): Promise<string> {
  const { run } = await requestWhen(
    linked,
    id,
    "is settled",
    (view) => view.run?.state === "done" || view.run?.state === "failed",
  );
  return run?.state ?? "";
}

async function askByItself(statement: string): Promise<RequestView["id"]> {
  const { publicKey } = await newDeliveryKey();
  const what = { database: resource.databases[0] ?? "", statement };
  // The resource is known as ready from before, also while the link is not up again.
  return await until("it can be asked for", async () => {
    const asking = linked.given.submit("ada", {
      resource: resource.config.name,
      ask: { action: { type: "sql", what } },
      window: { duration: "5m" },
      deliverTo: publicKey,
    });
    return await asking.then(
      ({ id }) => id,
      (error: unknown) => {
        if (error instanceof CardeaError && error.code === "outpost_unreachable") return undefined;
        throw error;
      },
    );
  });
}

test("every pause point of a run is killed at", () => {
  expect(inSession.map(([point]) => point)).toEqual(pausePoints.filter((point) => point.startsWith("run.")));
});

describe("killed while an approved statement runs in its session, the outpost", () => {
  test.each(inSession)(
    "at %s: it is %s, is known as that, and nothing is left of it",
    async (point, outcome) => {
      const first = await start(point);
      await untilReady(linked.control, resource.config.name);
      const { key } = await obtainGatewayKey(linked, resource);
      const opened = await connectThrough(key);
      const held = await holdStatement(opened, "update orders set note = 'crash' where id = 1");
      await decideHeld(linked, held.request, "approve");
      await first.paused();
      await first.kill();
      await held.result;

      await start();
      expect(await settled(held.request)).toBe(outcome);
      expect(await note()).toBe(outcome === "done" ? "crash" : null);
      await nothingLeft();
      const again = await connectThrough(key);
      expect((await again.client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
      await again.client.end();
      await nothingLeft();
    },
    60_000,
  );

  test("in the middle of it: it did not happen", async () => {
    const first = await start();
    await untilReady(linked.control, resource.config.name);
    const { key } = await obtainGatewayKey(linked, resource);
    const opened = await connectThrough(key);
    const slow = "update orders set note = 'slow' from (select pg_sleep(30)) as slowly where orders.id = 1";
    const held = await holdStatement(opened, slow);
    await decideHeld(linked, held.request, "approve");
    await requestWhen(linked, held.request, "runs", ({ run }) => run?.state === "running");
    await first.kill();
    await start();
    expect(await settled(held.request)).toBe("failed");
    expect(await note()).toBeNull();
    await nothingLeft();
  }, 60_000);

  test("while it waits: it is withdrawn", async () => {
    const first = await start();
    await untilReady(linked.control, resource.config.name);
    const { key } = await obtainGatewayKey(linked, resource);
    const held = await holdStatement(await connectThrough(key), "update orders set note = 'waits' where id = 1");
    await first.kill();
    await start();
    await requestWhen(linked, held.request, "is withdrawn", ({ state }) => state === "withdrawn");
    expect(await note()).toBeNull();
    await nothingLeft();
  }, 60_000);
});

describe("killed while an approved statement runs by itself, the outpost", () => {
  test.each(byItself)(
    "at %s: it is %s, is known as that, and nothing is left of it",
    async (point, outcome) => {
      const first = await start(point);
      await untilReady(linked.control, resource.config.name);
      const request = await askByItself("update orders set note = 'crash' where id = 1");
      await decideHeld(linked, request, "approve");
      await first.paused();
      await first.kill();

      await start();
      expect(await settled(request)).toBe(outcome);
      expect(await note()).toBe(outcome === "done" ? "crash" : null);
      await nothingLeft();
    },
    60_000,
  );

  test("in the middle of it: it did not happen", async () => {
    const first = await start();
    await untilReady(linked.control, resource.config.name);
    const slow = "update orders set note = 'slow' from (select pg_sleep(30)) as slowly where orders.id = 1";
    const request = await askByItself(slow);
    await decideHeld(linked, request, "approve");
    await requestWhen(linked, request, "runs", ({ run }) => run?.state === "running");
    await first.kill();
    await start();
    expect(await settled(request)).toBe("failed");
    expect(await note()).toBeNull();
    await nothingLeft();
  }, 60_000);

  test("in the middle of what no transaction holds together: nobody knows, and it is said", async () => {
    const first = await start();
    await untilReady(linked.control, resource.config.name);
    // What is being changed keeps the index waiting.
    await resource.su("begin; update orders set status = status where id = 3");
    const request = await askByItself("create index concurrently orders_status on orders (status)");
    await decideHeld(linked, request, "approve");
    await requestWhen(linked, request, "runs", ({ run }) => run?.state === "running");
    await first.kill();
    await start();
    const { run } = await requestWhen(linked, request, "is not known", (view) => view.grant?.state === "ended");
    expect(run).toMatchObject({ state: "unknown" });
    await resource.su("rollback");
    await nothingLeft();
  }, 60_000);
});
