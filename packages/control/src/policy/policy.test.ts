import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CastVote, type RequestView } from "@cardea/core/wire/api/requests";
import { newId, type GrantId, type RequestId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import { manualClock, type ManualClock } from "@cardea/core/lib/clock";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { scenario, scenarioPolicy, type Scenario } from "@cardea/testing/scenario";
import type { Control } from "../control.ts";
import { grantIssued } from "../grants/outcomes.ts";
import { showGrant } from "../grants/show.ts";
import { runOnce, startJobs } from "../jobs/run.ts";
import { showRequest } from "../requests/show.ts";
import { submitRequest } from "../requests/submit.ts";
import { castVote } from "../requests/vote.ts";
import { withdrawRequest } from "../requests/withdraw.ts";
import { transact } from "../store/transaction.ts";
import { applyPolicy, installPolicy } from "./apply.ts";
import { currentPolicy, policyInForce } from "./current.ts";
import { planPolicy } from "./plan.ts";
import { simulatePolicy } from "./simulate.ts";

let cluster: TestCluster;
let world: TestControl;
let control: Control;
let clock: ManualClock;
let given: Scenario;

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
});
afterAll(() => cluster.stop());

beforeEach(async () => {
  clock = manualClock(Date.parse("2026-11-22T09:00:00.000Z"));
  world = await startTestControl(cluster, { clock });
  control = world.control;
  given = await scenario(control);
  return () => world.stop();
});

async function apply(source: string, base: number, name = "root") {
  return applyPolicy(control, await given.actor(name), { source, base });
}

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

const version = async () => (await policyInForce(control))?.signed.document.version;
const approve = async (name: string, request: RequestView) =>
  castVote(
    control,
    await given.actor(name),
    request.id,
    CastVote.parse({ verdict: "approve", digest: request.digest }),
  );
const show = async (id: RequestId) => showRequest(control, await given.actor("audrey"), id);
const grantState = async (id: GrantId | undefined) => showGrant(control, await given.actor("audrey"), id as GrantId);

async function issued(request: RequestView): Promise<GrantId> {
  const grant = request.grant?.id as GrantId;
  const lease = newId("lease", clock, control.random);
  await transact(control, (tx) =>
    grantIssued(tx, control, given.outpost, {
      type: "issued",
      grant,
      lease,
      nativeName: "cardea_x",
      sealed: { enc: "AA", ciphertext: "AA" },
      at: toTime(clock.now()),
    }),
  );
  return grant;
}

/** With 2 of dba in one stage instead of two stages of one. */
const twoOfDba = scenarioPolicy.replace(/approvals:\n.*\n.*\n/, "approvals: [{ count: 2, from: { groups: [dba] } }]\n");
const denyAda = (scenarioRules: string, ada: string) =>
  scenarioRules.replace(
    "rules:\n",
    `rules:\n  - { name: not-now, subjects: { ids: [${ada}] }, effect: deny, message: Ask your lead. }\n`,
  );
const keeping = (source: string) => source.replaceAll("effect: allow\n", "effect: allow\n    onPolicyChange: keep\n");

describe("a policy", () => {
  test("is applied by an administrator who signed in, signed, versioned, logged, and told to all administrators", async () => {
    const view = await apply(twoOfDba, 1);
    expect(view).toMatchObject({ policy: { version: 2 }, source: twoOfDba, appliedBy: { name: "root" } });
    expect(await currentPolicy(control, await given.actor("eve"))).toEqual(view);
    const told = await world.sql(
      "select recipients, words from notifications where type = 'policy.applied' and words like 'root applied %'",
    );
    expect(told).toEqual([
      { recipients: [await given.subject("root")], words: "root applied policy version 2: engineers-write changed" },
    ]);
    const logged = await world.sql(
      "select event::jsonb -> 'data' ->> 'policy' as digest from audit_pending where event::jsonb ->> 'type' = 'policy.applied' order by seq desc limit 1",
    );
    expect(logged).toEqual([{ digest: view.digest }]);
    for (const name of ["ada", "audrey"]) expect(await code(apply(scenarioPolicy, 2, name))).toBe("forbidden");
    const byToken = await given.actor("root", { method: "api-token", token: newId("token", clock, control.random) });
    expect(await code(applyPolicy(control, byToken, { source: scenarioPolicy, base: 2 }))).toBe("token_forbidden");
  });

  test("that is invalid says where and what to write instead; the old one stays in force", async () => {
    const refused = apply(scenarioPolicy.replace("maxDuration: 2h", "maxDuraton: 2h"), 1);
    const error = (await refused.catch((thrown: unknown) => thrown)) as {
      code: string;
      message: string;
      pointers: { path: string; message: string }[];
    };
    expect(error.code).toBe("policy_invalid");
    expect(error.message).toMatch(/^the policy is invalid at line \d+: .*the one in force stays$/);
    expect(error.pointers).toContainEqual({
      path: "line 13, rule engineers-write",
      message: "there is no field `maxDuraton` here",
    });
    await expect(apply("version: [", 1)).rejects.toMatchObject({ code: "policy_invalid" });
    await expect(
      apply(scenarioPolicy.replace("groups: [dba] }", "groups: [dba] }, signed: passkey"), 1),
    ).rejects.toMatchObject({ code: "policy_invalid" });
    expect(await version()).toBe(1);
    expect(
      await world.sql("select count(*)::int as n from audit_pending where event::jsonb ->> 'type' = 'policy.refused'"),
    ).toEqual([{ n: 3 }]);
  });

  test("planned on another version than the one in force is not applied; of two at once one is", async () => {
    expect(await code(apply(twoOfDba, 0))).toBe("policy_stale");
    expect(await code(apply(twoOfDba, 2))).toBe("policy_stale");
    const outcomes = await Promise.all([
      code(apply(twoOfDba, 1)),
      code(apply(scenarioPolicy, 1)),
      code(apply(twoOfDba, 1)),
    ]);
    expect(outcomes.sort()).toEqual(["done", "policy_stale", "policy_stale"]);
    expect(await version()).toBe(2);
  });

  test("is installed once, by whichever process is first; without one everything is refused", async () => {
    await using empty = await startTestControl(cluster, { clock });
    await using other = empty.another();
    await Promise.all([
      installPolicy(empty.control, twoOfDba),
      installPolicy(other.control, twoOfDba),
      installPolicy(empty.control, twoOfDba),
    ]);
    expect(await empty.sql("select version, applied_by from policies")).toEqual([{ version: "1", applied_by: null }]);
    await world.sql("delete from policies");
    await using fresh = world.another({
      settings: { ...control.settings, logDirectory: `${control.settings.logDirectory}-fresh` },
    });
    const ada = await given.actor("ada");
    expect(
      await code(
        submitRequest(fresh.control, ada, {
          resource: "prod-orders",
          ask: { role: "read" },
          justification: "x",
          window: { duration: "1h" },
        }),
      ),
    ).toBe("policy_denied");
  });
});

describe("when policy changes", () => {
  test("a pending request that would be decided otherwise expires; one that would not goes on with its votes", async () => {
    const write = await given.submit("ada");
    await approve("dan", write);
    await apply(`${scenarioPolicy}\n# no rule is another\n`, 1);
    await runOnce(control);
    expect(await show(write.id)).toMatchObject({ state: "pending", stages: [{ state: "met" }, { state: "open" }] });
    const root = await given.actor("root");
    expect((await planPolicy(control, root, { source: twoOfDba })).expires).toEqual([write.id]);
    await apply(twoOfDba, 2);
    await runOnce(control);
    expect(await show(write.id)).toMatchObject({ state: "expired", why: "policy_changed" });
    expect(await code(approve("sam", write))).toBe("request_expired");
  });

  test("nobody's approval counts under it before the job has looked", async () => {
    const write = await given.submit("ada");
    await apply(twoOfDba, 1);
    expect(await code(approve("dan", write))).toBe("policy_denied");
  });

  test("a running job notices by itself", async () => {
    const jobs = startJobs(control);
    const write = await given.submit("ada");
    await apply(twoOfDba, 1);
    for (let waited = 0; waited < 300 && (await show(write.id)).state === "pending"; waited++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    await jobs.close();
    expect(await show(write.id)).toMatchObject({ state: "expired", why: "policy_changed" });
  });

  test("an open grant that the new one would not give ends, unless its rule said `keep`", async () => {
    const ending = await issued(await given.submit("ada", { ask: { role: "read" }, via: "direct" }));
    await apply(keeping(scenarioPolicy), 1);
    await runOnce(control);
    expect((await grantState(ending)).state).toBe("active");
    const kept = await issued(await given.submit("ada", { ask: { role: "read" }, via: "direct" }));
    const scheduled = (
      await given.submit("ada", {
        ask: { role: "read" },
        via: "direct",
        window: { start: toTime(clock.now() + 3_600_000), duration: "1h" },
      })
    ).grant?.id;
    await apply(keeping(scenarioPolicy).replace("maxDuration: 4h", "maxDuration: 30m"), 2);
    await runOnce(control);
    expect(await grantState(ending)).toMatchObject({
      state: "ending",
      why: "voided",
      detail: expect.stringContaining("policy version 3") as string,
    });
    expect([(await grantState(kept)).state, (await grantState(scheduled)).state]).toEqual(["active", "scheduled"]);
    await apply(denyAda(keeping(scenarioPolicy), await given.subject("ada")), 3);
    await runOnce(control);
    expect(await grantState(kept)).toMatchObject({
      state: "ending",
      why: "voided",
      detail: expect.stringContaining("not-now") as string,
    });
    expect(await grantState(scheduled)).toMatchObject({ state: "ended", why: "voided" });
  });
});

describe("before it is applied", () => {
  test("a plan says what is new, gone, other and wrong, and changes nothing", async () => {
    const source = twoOfDba.replace("name: fire", "name: blaze");
    const plan = await planPolicy(control, await given.actor("audrey"), { source });
    expect(plan).toMatchObject({
      valid: true,
      base: 1,
      added: ["blaze"],
      removed: ["fire"],
      changed: ["engineers-write"],
      expires: [],
    });
    const broken = await planPolicy(control, await given.actor("root"), { source: "version: 1\nrules: [{ name: x }]" });
    expect(broken).toMatchObject({ valid: false, expires: [] });
    expect(broken.problems[0]).toMatchObject({ severity: "error", line: 2 });
    expect(await version()).toBe(1);
    expect(await code(planPolicy(control, await given.actor("ada"), { source }))).toBe("forbidden");
  });

  test("a simulation says who would newly be allowed and newly refused", async () => {
    const read = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    const write = await given.submit("ada");
    const refused = await given
      .submit("eve", { ask: { role: "read" }, via: "direct" })
      .catch((error: unknown) => (error as { extra: { request: RequestId } }).extra.request);
    const source = denyAda(twoOfDba, await given.subject("ada")).replace(
      "- name: engineers-read\n    subjects: { groups: [engineering] }",
      "- name: engineers-read",
    );
    const simulated = await simulatePolicy(control, await given.actor("audrey"), { source, limit: 1_000 });
    expect(simulated.considered).toBe(3);
    expect(simulated.newlyAllowed.map(({ request }) => request)).toEqual([refused]);
    expect(simulated.newlyRefused.map(({ request }) => request).sort()).toEqual([read.id, write.id].sort());
    expect(await code(simulatePolicy(control, await given.actor("ada"), { source, limit: 10 }))).toBe("forbidden");
  });
});

describe("a stage of two places", () => {
  beforeEach(async () => {
    await apply(twoOfDba, 1);
  });

  test("is met by two people, however many come at once", async () => {
    await given.change("lea", { groups: ["dba"] });
    for (let round = 0; round < 5; round++) {
      clock.advance(1_000);
      const request = await given.submit("ada");
      const outcomes = await Promise.all(["dan", "dora", "lea", "dan"].map((name) => code(approve(name, request))));
      // The third comes too late, and so may the second vote of the first.
      expect(outcomes.filter((one) => one === "done")).toHaveLength(2);
      const after = await show(request.id);
      expect([
        after.state,
        after.grant?.document.votes.length,
        new Set(after.votes.map(({ approver }) => approver.id)).size,
      ]).toEqual(["approved", 2, 2]);
    }
  });

  test("is open to second thoughts: a yes may become a no, and a yes with a narrowing", async () => {
    const request = await given.submit("ada");
    const dan = await given.actor("dan");
    await approve("dan", request);
    expect(await code(approve("dan", request))).toBe("already_voted");
    const narrowed = await castVote(
      control,
      dan,
      request.id,
      CastVote.parse({ verdict: "approve", digest: request.digest, narrowing: { duration: "10m" } }),
    );
    expect(narrowed).toMatchObject({ state: "pending", votes: [{ counts: false }, { counts: true }] });
    const denied = await castVote(
      control,
      dan,
      request.id,
      CastVote.parse({ verdict: "deny", digest: request.digest }),
    );
    expect(denied.state).toBe("denied");
  });

  test("is bounded: so many votes a request, and no more", async () => {
    const request = await given.submit("ada");
    const narrow = async () =>
      castVote(
        control,
        await given.actor("dan"),
        request.id,
        CastVote.parse({ verdict: "approve", digest: request.digest, narrowing: { duration: "10m" } }),
      );
    for (let n = 0; n < 100; n++) await narrow();
    expect(await code(narrow())).toBe("rate_limited");
    expect(await withdrawRequest(control, await given.actor("ada"), request.id)).toMatchObject({ state: "withdrawn" });
  });
});
