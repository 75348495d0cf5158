import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CastVote } from "@cardea/core/contract/api/requests";
import { verifyEvidence } from "@cardea/core/evidence/verify";
import { manualClock, type ManualClock } from "@cardea/core/lib/clock";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { scenario, type Scenario } from "@cardea/testing/scenario";
import { startSequencer, type Sequencer } from "../audit/sequencer.ts";
import type { Control } from "../control.ts";
import { assembleEvidence } from "../evidence/assemble.ts";
import { castVote } from "./vote.ts";

let cluster: TestCluster;
let world: TestControl;
let control: Control;
let clock: ManualClock;
let given: Scenario;
let sequencer: Sequencer;

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
});
afterAll(() => cluster.stop());

beforeEach(async () => {
  clock = manualClock(Date.parse("2026-11-22T09:00:00.000Z"));
  world = await startTestControl(cluster, { clock });
  control = world.control;
  given = await scenario(control);
  sequencer = startSequencer(control, world.database.connect);
  return async () => {
    await sequencer.close();
    await world.stop();
  };
});

describe("a request", () => {
  test("that policy allows has a grant at once, with evidence that verifies", async () => {
    const view = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    expect(view.state).toBe("approved");
    expect(view.grant?.state).toBe("issuing");
    const grant = view.grant?.id;
    if (grant === undefined) throw new Error("no grant");
    let evidence = await assembleEvidence(control, grant);
    for (let i = 0; i < 100 && evidence === undefined; i++) {
      await control.wake.wait("log", 50, new AbortController().signal);
      evidence = await assembleEvidence(control, grant);
    }
    const verified = verifyEvidence(evidence, control.trust, clock.now(), { purpose: "issue" });
    expect(verified).toMatchObject({ ok: true });
  });

  test("needs each stage, and its last vote makes the grant", async () => {
    const view = await given.submit("ada");
    expect(view.state).toBe("pending");
    const vote = CastVote.parse({ verdict: "approve", digest: view.digest });
    const first = await castVote(control, await given.actor("dan"), view.id, vote);
    expect(first.state).toBe("pending");
    const second = await castVote(control, await given.actor("sam"), view.id, vote);
    expect(second.state).toBe("approved");
    expect(second.grant?.document.votes).toHaveLength(2);
  });
});
