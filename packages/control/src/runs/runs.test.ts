/** Runs of which nobody knows, on the real store. How others go is in `requests/hold.test.ts`. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RunsQuery, type RunView } from "@cardea/core/wire/api/runs";
import { ResolveRun } from "@cardea/core/wire/api/runs";
import { newId, type RequestId, type RunId } from "@cardea/core/contract/ids";
import { digestOf } from "@cardea/core/documents/digest";
import { signDigest } from "@cardea/core/documents/signature";
import { manualClock, type ManualClock } from "@cardea/core/lib/clock";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { scenario, type Scenario } from "@cardea/testing/scenario";
import { startSequencer, type Sequencer } from "../audit/sequencer.ts";
import type { Control } from "../control.ts";
import { listRuns } from "../runs/list.ts";
import { resolveRun } from "../runs/resolve.ts";
import { actionPolicy, playOutpost, type PlayedOutpost } from "@cardea/testing/played-outpost";

let cluster: TestCluster;
let world: TestControl;
let control: Control;
let sequencer: Sequencer;
let clock: ManualClock;
let given: Scenario;
let play: PlayedOutpost;

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  clock = manualClock(Date.parse("2026-11-22T09:00:00.000Z"));
  world = await startTestControl(cluster, { clock });
  control = world.control;
  given = await scenario(control, actionPolicy);
  sequencer = startSequencer(control, world.database.connect);
  play = await playOutpost(world, given, clock);
});
afterAll(async () => {
  await sequencer.close();
  await world.stop();
  await cluster.stop();
});

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

describe("a run of which nobody knows", () => {
  async function unknown() {
    const made = await play.approved();
    const told = play.ended(made.ending, { outcome: "unknown" });
    Reflect.deleteProperty(told.run, "rowCount");
    const run = {
      ...told,
      signature: signDigest("outpost", play.outpost.id, given.outpostSeed, digestOf("run", told.run)),
    };
    await play.receipt(await play.runTask(made.ending.grant), run);
    return { ...made, run: told.run.id };
  }
  const resolve = async (name: string, id: RunId, outcome = "done") =>
    resolveRun(control, await given.actor(name), id, ResolveRun.parse({ outcome, comment: "looked at the row" }));
  const runOf = async (request: RequestId): Promise<RunView | undefined> => (await play.show("root", request)).run;

  test("is told to its requester and to administrators, and listed", async () => {
    const { request, run } = await unknown();
    expect(await runOf(request)).toMatchObject({ state: "unknown" });
    const [told] = await world.sql(
      "select recipients from notifications where type = 'run.unknown' and request_id = $1",
      [request],
    );
    expect(told?.["recipients"]).toEqual(
      expect.arrayContaining([await given.subject("ada"), await given.subject("root")]),
    );
    const page = await listRuns(control, await given.actor("root"), RunsQuery.parse({ state: "unknown" }));
    expect(page.items[0]).toMatchObject({ id: run, resource: "prod-orders", action: "sql.update", request });
    expect((await listRuns(control, await given.actor("bob"), RunsQuery.parse({ state: "unknown" }))).items).toEqual(
      [],
    );
    expect((await listRuns(control, await given.actor("ada"), RunsQuery.parse({}))).items[0]?.id).toBe(run);
  });

  test("is resolved by an administrator who is not behind it, once", async () => {
    const { request, run } = await unknown();
    expect(await code(resolve("ada", run))).toBe("forbidden");
    expect(await code(resolve("audrey", run))).toBe("forbidden");
    await given.change("ada", { permissions: ["admin", "member"] });
    expect(await code(resolve("ada", run))).toBe("forbidden");
    await given.change("ada", { permissions: ["member"] });
    expect(await code(resolve("root", newId("run", clock, control.random)))).toBe("not_found");
    expect(await resolve("root", run)).toMatchObject({
      state: "done",
      resolved: { by: { name: "root" }, comment: "looked at the row" },
    });
    expect(await resolve("root", run)).toMatchObject({ state: "done" });
    expect(await code(resolve("root", run, "failed"))).toBe("conflict");
    await play.tell(
      play.event(
        "run.resolved",
        { grant: (await play.show("root", request)).grant?.id ?? "", run },
        { outcome: "failed" },
      ),
    );
    expect((await runOf(request))?.state).toBe("done");
  });

  test("is resolved by its outpost's later word, also where that comes first", async () => {
    const { request, run, ending } = await unknown();
    await play.tell(play.event("run.resolved", { grant: ending.grant, run }, { outcome: "failed" }));
    expect(await runOf(request)).toMatchObject({ state: "failed", resolved: {} });
    expect((await runOf(request))?.resolved).not.toHaveProperty("by");

    const made = await play.approved();
    const told = play.ended(made.ending, { outcome: "unknown" });
    await play.tell(play.event("run.resolved", { grant: made.ending.grant, run: told.run.id }, { outcome: "done" }));
    expect(await runOf(made.request)).toMatchObject({ state: "running" });
    await play.receipt(await play.runTask(made.ending.grant), told);
    expect(await runOf(made.request)).toMatchObject({ state: "done", resolved: {} });
  });
});
