import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createECDH } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { CastVote, RequestsQuery, type RequestView, type SubmitRequest } from "@cardea/core/wire/api/requests";
import { newId, type GrantId, type RequestId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import { manualClock, type ManualClock } from "@cardea/core/lib/clock";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { deliveryKey, scenario, type Scenario } from "@cardea/testing/scenario";
import type { Actor, Control } from "../control.ts";
import { grantIssued } from "../grants/outcomes.ts";
import { runOnce } from "../jobs/run.ts";
import { transact } from "../store/transaction.ts";
import { expireRequest } from "./expire.ts";
import { listRequests } from "./list.ts";
import { showRequest } from "./show.ts";
import { submitRequest } from "./submit.ts";
import { maxPendingRequests } from "./too-many.ts";
import { castVote } from "./vote.ts";
import { withdrawRequest } from "./withdraw.ts";

let cluster: TestCluster;
let world: TestControl;
let control: Control;
let clock: ManualClock;
let given: Scenario;
const hour = 3_600_000;

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  clock = manualClock(Date.parse("2026-11-22T09:00:00.000Z"));
  world = await startTestControl(cluster, { clock });
  control = world.control;
  given = await scenario(control);
});
afterAll(async () => {
  await world.stop();
  await cluster.stop();
});

type Vote = Partial<z.input<typeof CastVote>>;

async function vote(
  name: string,
  request: RequestView,
  input: Vote = {},
  presence?: Actor["presence"],
): Promise<RequestView> {
  return castVote(
    control,
    await given.actor(name, presence),
    request.id,
    CastVote.parse({ verdict: "approve", digest: request.digest, ...input }),
  );
}

const show = async (name: string, request: { readonly id: RequestId }) =>
  showRequest(control, await given.actor(name), request.id);
const withdraw = async (name: string, request: { readonly id: RequestId }) =>
  withdrawRequest(control, await given.actor(name), request.id);
const list = async (name: string, query: z.input<typeof RequestsQuery> = {}) =>
  listRequests(control, await given.actor(name), RequestsQuery.parse(query));

/** What came of it: a state, or the code of the refusal. */
async function outcome(work: Promise<{ readonly state: string }>): Promise<string> {
  try {
    return (await work).state;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

const submitting = (name: string, input: Partial<SubmitRequest> = {}) => outcome(given.submit(name, input));

async function types(request: { readonly id: RequestId }): Promise<string[]> {
  const rows = await world.sql(
    "select event::jsonb ->> 'type' as type from audit_pending where event::jsonb -> 'ids' ->> 'request' = $1 order by seq",
    [request.id],
  );
  return rows.map((row) => String(row["type"]));
}

async function told(request: { readonly id: RequestId }, type: string): Promise<string[]> {
  const rows = await world.sql(
    "select recipients from notifications where request_id = $1 and type = $2 order by created_at",
    [request.id, type],
  );
  const named = new Map(
    await Promise.all(
      ["ada", "bob", "dan", "dora", "sam", "lea", "root", "eve"].map(
        async (name) => [await given.subject(name), name] as const,
      ),
    ),
  );
  return rows.flatMap((row) => row["recipients"] as string[]).map((id) => named.get(id as never) ?? id);
}

describe("a request", () => {
  test("that a rule allows is approved with its grant, in one transaction", async () => {
    const view = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    expect(view).toMatchObject({
      state: "approved",
      words: expect.stringContaining("engineers-read") as string,
      stages: [],
      mayVote: false,
      grant: { state: "issuing", role: "read" },
    });
    expect(view.grant?.document.window).toEqual({
      notBefore: toTime(clock.now()),
      notAfter: toTime(clock.now() + hour),
    });
    expect(await types(view)).toEqual(["request.submitted", "request.approved", "grant.created"]);
    expect(await world.sql("select type, outpost from tasks where grant_id = $1", [view.grant?.id])).toEqual([
      { type: "issue", outpost: given.outpost },
    ]);
  });

  test("that needs approval waits, shows whom it waits for, and tells them", async () => {
    const view = await given.submit("ada");
    expect(view).toMatchObject({ state: "pending", mayVote: false });
    expect(view.words).toContain("needs 1 of dba, then 1 of security");
    expect(
      view.stages.map(({ state, requirements }) => [
        state,
        requirements[0]?.missing,
        requirements[0]?.candidates.map(({ name }) => name),
      ]),
    ).toEqual([
      ["open", 1, ["dan", "dora"]],
      ["later", 1, ["dora", "sam"]],
    ]);
    expect((await told(view, "request.submitted")).sort()).toEqual(["dan", "dora"]);
    expect((await show("dan", view)).mayVote).toBe(true);
    expect(await show("sam", view)).toMatchObject({
      mayVote: false,
      mayVoteWhy: expect.stringContaining("stage 1") as string,
    });
    await withdraw("ada", view);
  });

  test("that policy refuses is stored as denied and says why, and what could be asked for", async () => {
    const failing = given.submit("eve", { ask: { role: "write" } });
    await expect(failing).rejects.toMatchObject({ code: "policy_denied" });
    const { extra } = (await failing.catch((error: unknown) => error)) as {
      extra: { request: RequestId; reasons: string[] };
    };
    expect(extra.reasons.join(" ")).toMatch(/no rule permits this/);
    const stored = await show("eve", { id: extra.request });
    expect(stored).toMatchObject({
      state: "denied",
      why: "refused_by_policy",
      document: { decision: { effect: "deny", reasons: extra.reasons } },
    });
    expect(stored).not.toHaveProperty("grant");
    expect(await types(stored)).toEqual(["request.refused"]);
    expect(await outcome(vote("dan", stored))).toBe("not_found");
  });

  test("for what does not exist, or malformed, is refused before anything is stored", async () => {
    const before = await world.sql("select count(*) as n from requests");
    const other = createECDH("prime256v1").generateKeys();
    const offCurve = Buffer.from(other);
    offCurve[40] = (offCurve[40] ?? 0) ^ 1;
    expect(await submitting("ada", { resource: "nothing" })).toBe("resource_unknown");
    expect(await submitting("ada", { ask: { role: "nothing" } })).toBe("role_unknown");
    expect(await submitting("ada", { ask: { role: "constructor" } })).toBe("role_unknown");
    // No rule lets anybody ask for single actions here, so nobody looks what this one would touch.
    expect(await submitting("ada", { ask: { action: { type: "sql", what: {} } } })).toBe("policy_denied");
    expect(await submitting("ada", { deliverTo: undefined })).toBe("delivery_key_required");
    expect(await submitting("ada", { deliverTo: offCurve.toString("base64url") })).toBe("delivery_key_invalid");
    expect(await submitting("ada", { deliverTo: `A${deliveryKey.slice(1)}` })).toBe("delivery_key_invalid");
    expect(await submitting("ada", { window: { duration: "1h", start: toTime(clock.now() - 61_000) } })).toBe(
      "start_in_past",
    );
    expect(await submitting("ada", { window: { duration: "1h", start: toTime(clock.now() + 91 * 24 * hour) } })).toBe(
      "start_too_far",
    );
    expect(await submitting("ada", { extends: newId("grant", clock, control.random) })).toBe("extends_invalid");
    expect(await world.sql("select count(*) as n from requests")).toEqual(before);
  });

  test("of somebody inactive, or of an agent of somebody inactive, is refused", async () => {
    const eve = await given.actor("eve");
    await given.change("eve", { active: false });
    await expect(
      submitRequest(control, eve, {
        resource: "prod-orders",
        ask: { role: "read" },
        justification: "x",
        window: { duration: "1h" },
        deliverTo: deliveryKey,
      }),
    ).rejects.toMatchObject({ code: "subject_inactive" });
    await given.change("eve", { active: true });
  });

  test("is limited: so many may wait for one subject, also when filed at once", async () => {
    const filed = await Promise.all(Array.from({ length: maxPendingRequests + 10 }, () => submitting("bob")));
    expect(filed.filter((state) => state === "pending")).toHaveLength(maxPendingRequests);
    expect(filed.filter((state) => state === "request_limit")).toHaveLength(10);
    expect(await submitting("bob", { ask: { role: "read" }, via: "direct" })).toBe("approved");
    for (const { id } of (await list("bob", { view: "mine", state: "pending", limit: 200 })).items)
      await withdraw("bob", { id });
    const again = await given.submit("bob");
    expect(again.state).toBe("pending");
    await withdraw("bob", again);
  });

  test("to extend names an active grant of one's own for the same role; it is a new grant, and the old deadline stays", async () => {
    const first = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    const grant = first.grant?.id as GrantId;
    const extend = (name: string, role: string) => submitting(name, { ask: { role }, via: "direct", extends: grant });
    expect(await extend("ada", "read")).toBe("extends_invalid");
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
    expect(await extend("bob", "read")).toBe("extends_invalid");
    expect(await extend("ada", "write")).toBe("extends_invalid");
    clock.advance(60_000);
    const second = await given.submit("ada", { ask: { role: "read" }, via: "direct", extends: grant });
    expect(second.grant?.id).not.toBe(grant);
    expect(second.document.asked.extends).toBe(grant);
    expect((await show("ada", first)).grant?.document.window.notAfter).toBe(first.grant?.document.window.notAfter);
  });

  test("can be seen by whom it concerns, and by nobody else", async () => {
    const view = await given.submit("ada");
    for (const name of ["ada", "dan", "dora", "sam", "lea", "audrey", "root"])
      expect((await show(name, view)).id).toBe(view.id);
    for (const name of ["eve", "bob"]) await expect(show(name, view)).rejects.toMatchObject({ code: "not_found" });
    await vote("dan", view);
    await withdraw("ada", view);
    // Over: who was asked sees that it is, whether they voted or not; nobody else does.
    for (const name of ["dan", "dora", "sam"]) {
      expect((await show(name, view)).state).toBe("withdrawn");
      expect(await outcome(vote(name, view))).toBe("request_not_pending");
      expect((await list(name)).items.map(({ id }) => id)).toContain(view.id);
      expect((await list(name, { view: "to-approve" })).items.map(({ id }) => id)).not.toContain(view.id);
    }
    for (const name of ["eve", "bob"]) {
      await expect(show(name, view)).rejects.toMatchObject({ code: "not_found" });
      expect((await list(name)).items.map(({ id }) => id)).not.toContain(view.id);
    }
  });

  test("is listed for whom it concerns, newest first, in pages without gaps", async () => {
    const filed: string[] = [];
    for (let n = 0; n < 7; n++) {
      clock.advance(1);
      filed.unshift((await given.submit("ada")).id);
    }
    const seen: string[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await list("dan", { view: "to-approve", limit: 3, ...(cursor !== undefined && { cursor }) });
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.next;
      if (cursor === undefined) break;
    }
    expect(seen).toEqual(filed);
    expect((await list("sam", { view: "to-approve" })).items).toEqual([]);
    expect((await list("eve")).items.every(({ requester }) => requester.name === "eve")).toBe(true);
    expect((await list("audrey", { limit: 200 })).items.length).toBeGreaterThan(filed.length);
    expect((await list("ada", { view: "mine", state: "pending" })).items.map(({ id }) => id)).toEqual(filed);
    await expect(list("ada", { cursor: "nonsense" })).rejects.toMatchObject({ code: "invalid_request" });
    for (const id of filed) await withdraw("ada", { id: id as RequestId });
  });
});

describe("votes", () => {
  test("of each stage in its order approve; the last makes the grant of exactly the votes that counted", async () => {
    const view = await given.submit("ada");
    expect(await outcome(vote("sam", view))).toBe("not_an_approver");
    const first = await vote("dan", view, { comment: "looks right" });
    expect(first.stages.map(({ state }) => state)).toEqual(["met", "open"]);
    expect(await told(view, "request.submitted")).toContain("sam");
    clock.advance(10 * 60_000);
    const second = await vote("sam", view);
    expect(second).toMatchObject({ state: "approved", grant: { state: "issuing" } });
    expect(second.votes.map(({ approver, counts }) => [approver.name, counts])).toEqual([
      ["dan", true],
      ["sam", true],
    ]);
    // The window counts from the approval, not from the filing.
    expect(second.grant?.document.window.notBefore).toBe(toTime(clock.now()));
    expect(await types(view)).toEqual([
      "request.submitted",
      "request.voted",
      "request.voted",
      "request.approved",
      "grant.created",
    ]);
    expect(await told(view, "request.approved")).toEqual(["ada"]);
  });

  test("of the requester, of somebody not asked, of an agent or by an API token never count", async () => {
    const view = await given.submit("ada");
    await given.change("ada", { groups: ["engineering", "dba"] });
    expect(await outcome(vote("ada", view))).toBe("self_approval");
    await given.change("ada", { groups: ["engineering"] });
    expect(await outcome(vote("root", view))).toBe("not_an_approver");
    expect(await outcome(vote("eve", view))).toBe("not_found");
    expect(
      await outcome(vote("dan", view, {}, { method: "api-token", token: newId("token", clock, control.random) })),
    ).toBe("token_forbidden");
    await given.change("dan", { kind: "workload" });
    expect(await outcome(vote("dan", view))).toBe("not_found");
    await given.change("dan", { kind: "human" });
    await withdraw("ada", view);
  });

  test("of one human count once, over stages and groups", async () => {
    const view = await given.submit("ada");
    await vote("dora", view);
    expect(await outcome(vote("dora", view))).toBe("already_voted");
    expect((await show("ada", view)).state).toBe("pending");
    expect((await vote("sam", view)).state).toBe("approved");
  });

  test("are for the digest that the approver saw", async () => {
    const [one, other] = [await given.submit("ada"), await given.submit("ada")];
    expect(await outcome(vote("dan", one, { digest: other.digest }))).toBe("conflict");
    for (const view of [one, other]) await withdraw("ada", view);
  });

  test("against it deny it, whoever has approved before", async () => {
    const view = await given.submit("ada");
    await vote("dan", view);
    const denied = await vote("sam", view, { verdict: "deny", comment: "not today" });
    expect(denied).toMatchObject({ state: "denied" });
    expect(denied.votes.map(({ counts }) => counts)).toEqual([false, true]);
    for (const name of ["dora", "sam"]) expect(await outcome(vote(name, view))).toBe("request_not_pending");
    expect(await told(view, "request.denied")).toEqual(["ada"]);
  });

  test("may be no in a later stage after a yes in an earlier one", async () => {
    const view = await given.submit("ada");
    await vote("dora", view);
    expect((await vote("dora", view, { verdict: "deny" })).state).toBe("denied");
  });

  test("narrow: duration and addresses are the intersection of all, and outlive the vote", async () => {
    const view = await given.submit("ada", { limits: { sourceIps: ["10.0.0.0/8"] }, window: { duration: "2h" } });
    expect(await outcome(vote("dan", view, { narrowing: { duration: "3h" } }))).toBe("narrowing_invalid");
    expect(await outcome(vote("dan", view, { narrowing: { sourceIps: ["192.168.0.0/16"] } }))).toBe(
      "narrowing_invalid",
    );
    await vote("dan", view, { narrowing: { duration: "30m", sourceIps: ["10.1.0.0/16"] } });
    const approved = await vote("sam", view, { narrowing: { duration: "1h" } });
    expect(approved.grant?.document).toMatchObject({ limits: { sourceIps: ["10.1.0.0/16"] } });
    const { notBefore, notAfter } = approved.grant?.document.window ?? { notBefore: "", notAfter: "" };
    expect(Date.parse(notAfter) - Date.parse(notBefore)).toBe(30 * 60_000);
  });

  test("whose narrowings leave nothing in common are refused, and nothing is stored of them", async () => {
    const view = await given.submit("ada", { limits: { sourceIps: ["10.0.0.0/8"] } });
    await vote("dan", view, { narrowing: { sourceIps: ["10.1.0.0/16"] } });
    expect(await outcome(vote("sam", view, { narrowing: { sourceIps: ["10.2.0.0/16"] } }))).toBe("narrowing_invalid");
    const after = await show("ada", view);
    expect([after.state, after.votes.length]).toEqual(["pending", 1]);
    expect((await vote("sam", view)).state).toBe("approved");
  });

  test("of an approver who lost the standing before the last vote do not count any more", async () => {
    const view = await given.submit("ada");
    await vote("dan", view);
    await given.change("dan", { groups: [] });
    expect(await outcome(vote("sam", view))).toBe("not_an_approver");
    expect((await show("ada", view)).stages[0]?.state).toBe("open");
    await given.change("dan", { groups: ["dba"] });
    expect((await vote("sam", view)).state).toBe("approved");
  });

  test("for a requester who lost the eligibility are refused; a no is still taken", async () => {
    const view = await given.submit("ada");
    await given.change("ada", { groups: [] });
    expect(await outcome(vote("dan", view))).toBe("policy_denied");
    await given.change("ada", { groups: ["engineering"], active: false });
    expect(await outcome(vote("dan", view))).toBe("policy_denied");
    expect((await vote("dan", view, { verdict: "deny" })).state).toBe("denied");
    await given.change("ada", { active: true });
  });

  test("after the resource changed find the request expired", async () => {
    const view = await given.submit("ada");
    await given.report({ labels: { env: "prod", data: "other" } });
    expect(await outcome(vote("dan", view))).toBe("request_expired");
    expect(await show("ada", view)).toMatchObject({ state: "expired", why: "resource_changed" });
    await given.report({});
  });

  test("keep their order when the clock is set back", async () => {
    const view = await given.submit("ada");
    await vote("dan", view);
    clock.advance(-1);
    const approved = await vote("sam", view);
    expect(approved.state).toBe("approved");
    const [first, second] = approved.votes.map((one) => one.vote.at);
    expect(String(first) < String(second)).toBe(true);
    clock.advance(1);
  });
});

describe("time", () => {
  test("expires what nobody decided, and a late vote does not revive it", async () => {
    const view = await given.submit("ada");
    clock.advance(8 * hour);
    expect(await outcome(vote("dan", view))).toBe("request_expired");
    expect(await show("ada", view)).toMatchObject({ state: "expired", why: "timed_out" });
    expect(await outcome(vote("dan", view))).toBe("request_expired");
    expect(await outcome(withdraw("ada", view))).toBe("request_expired");
    expect(await told(view, "request.expired")).toEqual(["ada"]);
  });

  test("expires by the job where nobody looks, and not a moment early", async () => {
    const view = await given.submit("ada");
    clock.advance(8 * hour - 1);
    await runOnce(control);
    expect((await show("ada", view)).state).toBe("pending");
    clock.advance(1);
    await runOnce(control);
    expect((await show("ada", view)).state).toBe("expired");
    expect((await types(view)).filter((type) => type === "request.expired")).toHaveLength(1);
  });

  test("reminds those waited for, and one reminder makes up for all that were missed", async () => {
    const view = await given.submit("ada");
    clock.advance(29 * 60_000);
    await runOnce(control);
    expect(await told(view, "request.reminder")).toEqual([]);
    clock.advance(60_000);
    await runOnce(control);
    await runOnce(control);
    expect((await told(view, "request.reminder")).sort()).toEqual(["dan", "dora"]);
    await vote("dan", view);
    clock.advance(2 * hour);
    await runOnce(control);
    expect((await told(view, "request.reminder")).slice(2)).toContain("sam");
    await withdraw("ada", view);
  });

  test("escalates to further approvers where the rule says so, and leaves out nobody", async () => {
    const view = await given.submit("ada");
    expect(await outcome(vote("lea", view))).toBe("not_an_approver");
    clock.advance(hour);
    await runOnce(control);
    await runOnce(control);
    expect(await told(view, "request.escalated")).toEqual(["lea"]);
    expect((await types(view)).filter((type) => type === "request.escalated")).toHaveLength(1);
    await vote("lea", view);
    // The next stage has its own hour.
    expect(await outcome(vote("lea", view))).toBe("not_an_approver");
    expect((await vote("sam", view)).state).toBe("approved");
  });
});

describe("withdrawing", () => {
  test("is the requester's alone, and again is as good as once", async () => {
    const view = await given.submit("ada");
    expect(await outcome(withdraw("dan", view))).toBe("forbidden");
    expect(await outcome(withdraw("root", view))).toBe("forbidden");
    expect(await outcome(withdraw("eve", view))).toBe("not_found");
    expect(await outcome(withdraw("ada", view))).toBe("withdrawn");
    expect(await outcome(withdraw("ada", view))).toBe("withdrawn");
    expect((await types(view)).filter((type) => type === "request.withdrawn")).toHaveLength(1);
    const approved = await given.submit("ada", { ask: { role: "read" }, via: "direct" });
    expect(await outcome(withdraw("ada", approved))).toBe("request_not_pending");
  });
});

describe("at the same moment", () => {
  const rounds = [0, 1, 2, 3, 4, 5, 6, 7];

  /** Each outcome with its number, sorted. */
  const tallyOf = (outcomes: readonly string[]) => [...outcomes].sort();

  async function invariants(view: RequestView): Promise<RequestView> {
    const after = await show("audrey", view);
    const grants = await world.sql("select id from grants where request_id = $1", [view.id]);
    expect(grants).toHaveLength(after.state === "approved" ? 1 : 0);
    const decided = (await types(view)).filter((type) =>
      ["request.approved", "request.denied", "request.withdrawn", "request.expired"].includes(type),
    );
    expect(decided).toHaveLength(after.state === "pending" ? 0 : 1);
    expect(after.votes).toHaveLength(
      Number((await world.sql("select vote_count from requests where id = $1", [view.id]))[0]?.["vote_count"]),
    );
    return after;
  }

  test("two approvers of one place: one fills it, the other finds the next stage", async () => {
    for (let round = 0; round < rounds.length; round++) {
      const view = await given.submit("ada");
      const outcomes = await Promise.all([outcome(vote("dan", view)), outcome(vote("dora", view))]);
      // dora is of both groups: where dan came first her vote fills the second place, else dan is not asked any more.
      expect([
        ["approved", "pending"],
        ["not_an_approver", "pending"],
      ]).toContainEqual(tallyOf(outcomes));
      const after = await invariants(view);
      if (after.state === "pending") await withdraw("ada", view);
    }
  });

  test("the last approval against a denial: one of them decides, never both", async () => {
    for (let round = 0; round < rounds.length; round++) {
      const view = await given.submit("ada");
      await vote("dan", view);
      const outcomes = await Promise.all([
        outcome(vote("sam", view)),
        outcome(vote("dora", view, { verdict: "deny" })),
      ]);
      expect(
        [
          ["approved", "request_not_pending"],
          ["denied", "request_not_pending"],
        ].map(tallyOf),
      ).toContainEqual(tallyOf(outcomes));
      await invariants(view);
    }
  });

  test("the same vote many times: it counts once", async () => {
    for (let round = 0; round < 3; round++) {
      const view = await given.submit("ada");
      await vote("dora", view);
      const outcomes = await Promise.all(Array.from({ length: 6 }, () => outcome(vote("sam", view))));
      expect(outcomes.filter((one) => one === "approved")).toHaveLength(1);
      expect(outcomes.filter((one) => one === "request_not_pending")).toHaveLength(5);
      await invariants(view);
    }
  });

  test("vote, expiry and withdrawal: one comes first and the others meet what it left", async () => {
    const seen = new Set<string>();
    for (const round of rounds) {
      const view = await given.submit("ada");
      await vote("dora", view);
      clock.advance(8 * hour - (round % 2));
      const work = [
        () => outcome(vote("sam", view)),
        () => outcome(withdraw("ada", view)),
        () => expireRequest(control, view.id).then(() => "looked"),
      ];
      await Promise.all([...work.slice(round % 3), ...work.slice(0, round % 3)].map((one) => one()));
      const after = await invariants(view);
      seen.add(after.state);
      if (round % 2 === 0) expect(["expired", "withdrawn"]).toContain(after.state);
      else expect(["approved", "withdrawn"]).toContain(after.state);
    }
    expect(seen.size).toBeGreaterThan(1);
  });

  test("jobs of several processes: each thing is done once", async () => {
    const views = await Promise.all(Array.from({ length: 10 }, () => given.submit("ada")));
    clock.advance(8 * hour);
    await using other = world.another();
    await Promise.all([runOnce(control), runOnce(other.control), runOnce(control), runOnce(other.control)]);
    for (const view of views) expect((await invariants(view)).state).toBe("expired");
  });
});

describe("a database administrator who takes votes away", () => {
  const reopen = async ({ id }: RequestView) => {
    await world.sql("alter table requests drop constraint if exists requests_state_legal");
    await world.sql("update requests set state = 'pending', decided_at = null where id = $1", [id]);
  };
  const deleteVotes = async ({ id }: RequestView, voter: string) =>
    world.sql("delete from votes where request_id = $1 and approver = $2", [id, await given.subject(voter)]);
  /** What remembers beside the rows, one at a time: each alone is enough. */
  const memories: Record<string, (request: RequestView) => Promise<unknown>> = {
    "the log": ({ id }) => world.sql("delete from audit_pending where strpos(event, $1) > 0", [id]),
    "the memory outside the database": () =>
      rm(join(control.settings.logDirectory, "remembered"), { recursive: true, force: true }),
  };

  for (const [lost, lose] of Object.entries(memories)) {
    test(`drops no narrowing of a vote that does not count any more, ${lost} lost`, async () => {
      const view = await given.submit("ada");
      await vote("dan", view, { narrowing: { duration: "5m" } });
      await given.change("dan", { groups: [] });
      await vote("dora", view);
      await given.change("dan", { groups: ["dba"] });
      await deleteVotes(view, "dan");
      await lose(view);
      expect(await outcome(vote("sam", view))).toBe("evidence_mismatch");
      expect((await show("ada", view)).state).toBe("pending");
    });

    test(`makes no denial undone, ${lost} lost`, async () => {
      const view = await given.submit("ada");
      await vote("dan", view);
      await vote("sam", view, { verdict: "deny" });
      await deleteVotes(view, "sam");
      await reopen(view);
      await lose(view);
      expect(await outcome(vote("dora", view))).toBe("evidence_mismatch");
    });

    test(`brings nothing back that was withdrawn, ${lost} lost`, async () => {
      const view = await given.submit("ada");
      await vote("dan", view);
      await withdraw("ada", view);
      await reopen(view);
      await lose(view);
      expect(await outcome(vote("sam", view))).toBe("evidence_mismatch");
    });
  }

  test("fills no gap with a vote on another request", async () => {
    const [view, other] = [await given.submit("ada"), await given.submit("ada")];
    await vote("dan", view, { narrowing: { duration: "5m" } });
    await vote("dan", other);
    await deleteVotes(view, "dan");
    await world.sql("update votes set request_id = $1 where request_id = $2", [view.id, other.id]);
    expect(await outcome(vote("dora", view))).toBe("evidence_mismatch");
  });

  test("is told of in the log, once", async () => {
    const view = await given.submit("ada");
    await vote("dan", view);
    await deleteVotes(view, "dan");
    for (const name of ["dora", "dan"]) expect(await outcome(vote(name, view))).toBe("evidence_mismatch");
    const told = await world.sql(
      "select event from audit_pending where event::jsonb ->> 'type' = 'security.refused' and strpos(event, $1) > 0",
      [view.id],
    );
    expect(told).toHaveLength(1);
  });
});
