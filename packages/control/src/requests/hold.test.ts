/** Actions that a session keeps waiting, on the real store; and what a broken or hostile outpost might say of them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { heldWindow } from "@cardea/core/wire/action-events";
import type { Enrolment } from "@cardea/core/wire/enrolment";
import { newId, type GrantId } from "@cardea/core/contract/ids";
import { digestOf, shortCode, type Digest } from "@cardea/core/documents/digest";
import { toTime } from "@cardea/core/documents/primitives";
import type { Asked } from "@cardea/core/documents/request";
import { manualClock, type ManualClock } from "@cardea/core/lib/clock";
import { verifyEvidence } from "@cardea/core/evidence/verify";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { deliveryKey, scenario, type Scenario } from "@cardea/testing/scenario";
import { startSequencer, type Sequencer } from "../audit/sequencer.ts";
import type { Control } from "../control.ts";
import { fetchKey } from "../grants/key.ts";
import { revokeGrant } from "../grants/revoke.ts";
import { runOnce } from "../jobs/run.ts";
import { applyMessages } from "../link/inbox.ts";
import { applyPolicy } from "../policy/apply.ts";
import { showGrant } from "../grants/show.ts";
import { nameOutpostKey } from "../people/change-roster.ts";
import { currentRoster, rosterIn, storeNextRoster } from "../people/roster.ts";
import { closeSessionsOf } from "../sessions/outcomes.ts";
import { transact } from "../store/transaction.ts";
import { withdrawRequest } from "./withdraw.ts";
import {
  actionPolicy,
  named,
  playOutpost,
  update,
  type Place,
  type PlayedOutpost,
} from "@cardea/testing/played-outpost";

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

const refusals = async () =>
  Number(
    (
      await world.sql(
        "select count(*) as n from (select 1 from audit_pending where event like '%security.refused%' union all select 1 from audit_entries where type = 'security.refused') as e",
      )
    )[0]?.["n"],
  );

const audited = async (grant: GrantId) =>
  verifyEvidence(await play.untilLogged(grant, "audit"), control.trust, 0, { purpose: "audit" });

describe("a held action", () => {
  test("is filed in its requester's name, and its session is told for whom it waits", async () => {
    const place = await play.connect();
    const asked = await play.hold(place);
    const id = await play.theRequestOf(asked);
    const view = await play.show("ada", id);
    expect(view).toMatchObject({ state: "pending", requester: { name: "ada" }, mayVote: false });
    expect(view.document.asked).toEqual(asked);
    expect(view.document.facts.verified).toMatchObject({
      sourceIp: "10.0.0.7",
      preview: { recent: ["select 1", "select  2"] },
      session: { covered: [{ name: "sql.select" }], hold: [] },
    });
    expect(await play.tasks("filed", asked.nonce)).toEqual([
      expect.objectContaining({
        session: place.session,
        request: id,
        code: shortCode(view.digest as Digest),
        words: `waits for 1 of dba: \`cardea approve ${id}\` (code ${view.code}); cancel (Ctrl-C) to withdraw it`,
      }),
    ]);
    expect(await play.types(id)).toEqual(expect.arrayContaining(["action.held", "request.submitted"]));
  });

  test("is told to its approvers: what, where and the code, but not what stands in the statement", async () => {
    const asked = await play.hold(await play.connect());
    const id = await play.theRequestOf(asked);
    const [told] = await world.sql("select words, code, command, recipients from notifications where request_id = $1", [
      id,
    ]);
    expect(told).toMatchObject({
      words:
        "ada waits in a session with one action: update public.orders … on prod-orders and needs your approval: refund case 4711",
      command: `cardea approve ${id}`,
      code: (await play.show("ada", id)).code,
    });
    expect(told?.["recipients"]).toContain(await given.subject("dan"));
  });

  test("that is approved is to be run, from evidence that the outpost's signature is part of", async () => {
    const { asked, ending, request } = await play.approved();
    const evidence = await play.untilLogged(ending.grant, "issue");
    expect(evidence.request.asked).toEqual(asked);
    expect(evidence.signatures[digestOf("asked", asked)]).toEqual([play.signed(asked).signature]);
    expect(await audited(ending.grant)).toMatchObject({ ok: true });
    expect(await play.runTask(ending.grant)).toMatch(/^tsk_/);
    expect(await play.tasks("issue")).not.toContainEqual(expect.objectContaining({ grant: ending.grant }));
    expect((await play.show("ada", request)).grant).toMatchObject({ state: "issuing", action: "sql.update" });
    expect((await play.show("ada", request)).grant).not.toHaveProperty("key");
    expect(await code(fetchKey(control, await given.actor("ada"), ending.grant))).toBe("not_found");
  });

  test("that runs spends its grant at once; the request says how it went", async () => {
    const { ending, request, place } = await play.approved();
    const told = play.ended(ending);
    await play.tell(play.event("run.started", { grant: ending.grant, run: told.run.id, session: place.session }, {}));
    expect((await play.show("ada", request)).run).toMatchObject({
      id: told.run.id,
      state: "running",
      session: place.session,
    });
    const task = await play.runTask(ending.grant);
    await play.receipt(task, told);
    await play.receipt(task, told);
    const view = await play.show("ada", request);
    expect(view.run).toEqual({ id: told.run.id, state: "done", session: place.session, rowCount: 1, at: told.run.at });
    expect(view.grant).toMatchObject({ state: "ended", why: "spent" });
    expect((await play.types(request)).filter((type) => type === "run.done")).toHaveLength(1);
    expect((await play.types(request)).filter((type) => type === "grant.ended")).toHaveLength(1);
    const verified = await audited(ending.grant);
    if (!verified.ok) throw new Error(verified.detail);
    expect(verified.proven.at(-1)).toContain("was done once");
  });

  test("whose end is heard of before its beginning is over all the same", async () => {
    const { ending, request } = await play.approved();
    const told = play.ended(ending, { outcome: "failed" });
    await play.receipt(await play.runTask(ending.grant), {
      ...told,
      error: { code: "23505", message: "duplicate key \u0007" },
    });
    await play.tell(play.event("run.started", { grant: ending.grant, run: told.run.id }, {}));
    expect((await play.show("ada", request)).run).toMatchObject({
      state: "failed",
      error: { code: "23505", message: "duplicate key " },
    });
  });

  test("that did not run fails its grant, and its session is told", async () => {
    const { ending, request, asked } = await play.approved();
    const task = await play.runTask(ending.grant);
    const failure = { ok: false as const, code: "binding_changed", detail: "a trigger changed", retryable: false };
    await applyMessages(control, play.outpost, [play.answer(task, failure)]);
    const view = await play.show("ada", request);
    expect(view.grant).toMatchObject({ state: "failed", why: "binding_changed", detail: "a trigger changed" });
    expect(view).not.toHaveProperty("run");
    expect(await play.settled(asked)).toEqual([{ verdict: "refused", words: "it did not run: a trigger changed" }]);
  });

  test("that may run later is tried again for a while", async () => {
    const { ending, asked, request } = await play.approved();
    const task = await play.runTask(ending.grant);
    const failure = { ok: false as const, code: "state_stale", detail: "old", retryable: true };
    await applyMessages(control, play.outpost, [play.answer(task, failure)]);
    expect((await play.show("ada", request)).grant?.state).toBe("issuing");
    clock.advance(31_000);
    await applyMessages(control, play.outpost, [play.answer(task, failure)]);
    expect((await play.show("ada", request)).grant?.state).toBe("failed");
    expect(await play.settled(asked)).toHaveLength(1);
  });

  test("that policy allows runs without anybody waiting for a vote; what it refuses is refused at once", async () => {
    const place = await play.connect();
    const insert = await play.hold(place, named("sql.insert"));
    expect(await play.show("ada", await play.theRequestOf(insert))).toMatchObject({
      state: "approved",
      grant: { state: "issuing" },
    });
    expect(await play.tasks("filed", insert.nonce)).toEqual([]);
    const remove = await play.hold(place, named("sql.delete"));
    expect(await play.show("ada", await play.theRequestOf(remove))).toMatchObject({
      state: "denied",
      why: "refused_by_policy",
    });
    expect(await play.settled(remove)).toEqual([
      {
        verdict: "refused",
        words: expect.stringContaining("rule `no-delete` refuses it; deletes go through") as string,
      },
    ]);
  });

  test("denied, withdrawn by hand, or expired is settled in those words", async () => {
    const denied = await play.hold(await play.connect());
    await play.vote("dan", await play.theRequestOf(denied), { verdict: "deny", comment: "not today" });
    expect(await play.settled(denied)).toEqual([{ verdict: "refused", words: "denied by dan: not today" }]);
    const withdrawn = await play.hold(await play.connect());
    await withdrawRequest(control, await given.actor("ada"), await play.theRequestOf(withdrawn));
    expect(await play.settled(withdrawn)).toEqual([{ verdict: "withdrawn", words: "withdrawn by ada" }]);
  });

  test("narrowed is refused: it is approved as it is, or not", async () => {
    const asked = await play.hold(await play.connect());
    const id = await play.theRequestOf(asked);
    expect(await code(play.vote("dan", id, { narrowing: { duration: "1m" } }))).toBe("narrowing_exact");
    expect((await play.show("ada", id)).state).toBe("pending");
  });

  test("is over when its client gives up, goes away or waits too long", async () => {
    for (const [why, state, said] of [
      ["withdrawn", "withdrawn", undefined],
      ["session_closed", "withdrawn", "session_closed"],
      ["timed_out", "expired", "timed_out"],
    ] as const) {
      const place = await play.connect();
      const asked = await play.hold(place);
      await play.tell(play.event("action.withdrawn", { ...place }, { nonce: asked.nonce, why }));
      expect(await play.show("ada", await play.theRequestOf(asked)), why).toMatchObject({
        state,
        ...(said !== undefined && { why: said }),
      });
      expect(await code(play.vote("dan", await play.theRequestOf(asked))), why).toMatch(
        /^request_(?:not_pending|expired)$/,
      );
    }
  });

  test("that was approved and for which nobody waits any more never runs", async () => {
    const { ending, asked, place, request } = await play.approved();
    await play.tell(play.event("action.withdrawn", { ...place }, { nonce: asked.nonce, why: "withdrawn" }));
    expect((await play.show("ada", request)).grant).toMatchObject({ state: "ending", why: "released" });
    expect(await play.tasks("run")).not.toContainEqual(expect.objectContaining({ grant: ending.grant, state: "open" }));
    expect(await play.tasks("end")).toContainEqual(expect.objectContaining({ grant: ending.grant, state: "open" }));
  });

  test("is over with its session", async () => {
    const place = await play.connect();
    const asked = await play.hold(place);
    await play.tell(play.event("session.closed", { ...place }, { why: "vanished" }));
    expect(await play.show("ada", await play.theRequestOf(asked))).toMatchObject({
      state: "withdrawn",
      why: "session_closed",
    });
  });

  test("is over when its approval is taken back before it ran, and its session is told", async () => {
    const { ending, asked } = await play.approved();
    await revokeGrant(control, await given.actor("dan"), ending.grant, { comment: "wait" });
    expect(await play.settled(asked)).toEqual([{ verdict: "withdrawn", words: "its approval is over: wait" }]);
    await play.receipt(await play.runTask(ending.grant), play.ended(ending));
    expect(await showGrant(control, await given.actor("root"), ending.grant)).toMatchObject({
      state: "ended",
      why: "revoked",
    });
  });

  test("that is approved and not run in five minutes is over", async () => {
    const { ending, asked } = await play.approved();
    clock.advance(5 * 60_000 + 20_000);
    await runOnce(control);
    expect(await showGrant(control, await given.actor("root"), ending.grant)).toMatchObject({
      state: "ending",
      why: "expired",
    });
    expect(await play.settled(asked)).toEqual([{ verdict: "expired", words: "its approval is over: expired" }]);
  });

  test("is one in its session at a time", async () => {
    const place = await play.connect();
    const first = await play.hold(place);
    const second = await play.hold(place);
    expect(await play.requestOf(second)).toBeUndefined();
    expect(await play.settled(second)).toEqual([
      { verdict: "refused", words: "another action of this session waits already" },
    ]);
    await play.tell(play.event("action.withdrawn", { ...place }, { nonce: first.nonce, why: "withdrawn" }));
    expect(await play.requestOf(await play.hold(place))).toBeDefined();
  });
});

describe("what an outpost cannot make of a hold", () => {
  async function refused(place: Place, data: { readonly asked: Asked }, enrolment = play.outpost) {
    const before = await refusals();
    const acknowledged = await applyMessages(control, enrolment, [play.heldEvent(place, data)]);
    expect(await play.requestOf(data.asked)).toBeUndefined();
    return { acknowledged: acknowledged.length, logged: (await refusals()) - before };
  }

  test("one of another outpost's sessions", async () => {
    const place = await play.connect();
    const asked = await play.askedIn(place, update);
    const other: Enrolment = { ...play.outpost, id: newId("outpost", clock, control.random) };
    expect(await refused(place, play.signed(asked), other)).toEqual({ acknowledged: 0, logged: 0 });
  });

  test("one that another key signed, or that says something else than was signed", async () => {
    const place = await play.connect();
    const asked = await play.askedIn(place, update);
    expect(await refused(place, play.signed(asked, control.random.bytes(32)))).toEqual({ acknowledged: 1, logged: 1 });
    const changed = {
      ...play.signed(asked),
      asked: { ...asked, ask: { action: { ...update, what: { statement: "drop table orders" } } } },
    };
    expect(await refused(place, changed)).toEqual({ acknowledged: 1, logged: 1 });
    expect((await play.settled(asked)).every(({ verdict }) => verdict === "refused")).toBe(true);
  });

  test.each<readonly [string, (asked: Asked, place: Place) => Partial<Asked> | Promise<Partial<Asked>>]>([
    ["somebody else's name", async () => ({ requester: { id: await given.subject("bob"), kind: "human" as const } })],
    ["another resource", () => ({ resource: "prod-payments" })],
    ["another justification", () => ({ justification: "trust me" })],
    ["another ticket", () => ({ ticket: "OPS-8" })],
    ["a longer window", () => ({ window: { duration: "4h" } })],
    ["a later window", () => ({ window: { duration: heldWindow, start: toTime(clock.now() + 60_000) } })],
    ["addresses of its own", () => ({ limits: { sourceIps: ["0.0.0.0/0"] } })],
    ["a delivery key of its own", () => ({ deliverTo: deliveryKey })],
    ["a role", () => ({ ask: { role: "admin" } })],
    ["an action that nobody looked at", () => ({ ask: { action: { type: "sql", name: "sql.update", what: {} } } })],
    ["broken glass", () => ({ breakGlass: true as const })],
    ["another session inside", async () => ({ within: await play.connect() })],
    ["no session inside", () => ({ within: undefined })],
  ])("one that asks with %s", async (_, change) => {
    const place = await play.connect();
    const asked = await play.askedIn(place, update);
    const altered = JSON.parse(JSON.stringify({ ...asked, ...(await change(asked, place)) })) as Asked;
    expect(await refused(place, play.signed(altered))).toEqual({ acknowledged: 1, logged: 1 });
  });

  test("a second one of the same nonce: the same changes nothing, another is refused", async () => {
    const place = await play.connect();
    const asked = await play.hold(place);
    const id = await play.theRequestOf(asked);
    const before = await refusals();
    await play.tell(play.heldEvent(place, play.signed(asked)));
    expect(await play.tasks("filed", asked.nonce)).toHaveLength(1);
    expect(await refusals()).toBe(before);
    await play.tell(play.heldEvent(place, play.signed({ ...asked, ask: { action: named("sql.insert") } })));
    expect(await refusals()).toBe(before + 1);
    expect((await play.show("ada", id)).document.asked.ask).toEqual({ action: update });
  });

  test("one of a session that ended, that never was, or of a key that is over", async () => {
    const place = await play.connect();
    const asked = await play.askedIn(place, update);
    await play.tell(play.event("session.closed", { ...place }, { why: "client" }));
    expect(await refused(place, play.signed(asked))).toEqual({ acknowledged: 1, logged: 0 });
    expect(await play.settled(asked)).toEqual([{ verdict: "refused", words: "the session is over" }]);

    const invented = { ...place, session: newId("session", clock, control.random) };
    const ghost = await play.askedIn(invented, update);
    expect(await refused(invented, play.signed(ghost))).toMatchObject({ acknowledged: 1 });
    const elsewhere = { ...(await play.connect("bob")), grant: place.grant };
    expect(await refused(elsewhere, play.signed(await play.askedIn(elsewhere, update)))).toMatchObject({
      acknowledged: 1,
    });

    const live = await play.connect();
    const late = await play.askedIn(live, update);
    await revokeGrant(control, await given.actor("ada"), live.grant, { comment: "" });
    expect(await refused(live, play.signed(late))).toMatchObject({ acknowledged: 1 });
    expect((await play.settled(late))[0]).toMatchObject({ verdict: "refused" });
  });

  test("one of somebody who may not ask any more", async () => {
    const place = await play.connect("bob");
    const asked = await play.askedIn(place, update);
    await given.change("bob", { active: false });
    expect(await refused(place, play.signed(asked))).toMatchObject({ acknowledged: 1 });
    await given.change("bob", { active: true });
  });

  test("the end of another session's hold, or of another's grant", async () => {
    const place = await play.connect();
    const asked = await play.hold(place);
    const other = await play.connect();
    await play.tell(play.event("action.withdrawn", { ...other }, { nonce: asked.nonce, why: "withdrawn" }));
    await play.tell(
      play.event("action.withdrawn", { ...other, grant: place.grant }, { nonce: asked.nonce, why: "withdrawn" }),
    );
    await play.tell(play.event("session.closed", { session: place.session, grant: other.grant }, { why: "client" }));
    expect((await play.show("ada", await play.theRequestOf(asked))).state).toBe("pending");
  });

  test("a run of something else, of another grant or session, by another key, or twice", async () => {
    const { ending, request } = await play.approved();
    const task = await play.runTask(ending.grant);
    const second = await play.approved();
    const cheats = [
      play.ended(ending, { binding: { patterns: [] } }),
      play.ended(ending, { grant: second.ending.digest }),
      play.ended({ ...ending, session: second.place.session }),
      play.ended({ grant: ending.grant, digest: ending.digest }),
      play.ended(ending, {}, control.random.bytes(32)),
      play.ended(ending, { resultDigest: digestOf("sealed", {}) }),
      { ...play.ended(ending), sealed: { enc: "AAAA", ciphertext: "BBBB" } },
      { ...play.ended(ending), grant: second.place.grant },
    ];
    for (const cheat of cheats) expect(await play.receipt(task, cheat)).toEqual([]);
    expect(await play.show("ada", request)).not.toHaveProperty("run");
    await play.receipt(task, play.ended(ending));
    expect(await play.receipt(task, play.ended(ending, { outcome: "failed" }))).toEqual([]);
    expect((await play.show("ada", request)).run?.state).toBe("done");
  });
});

describe("use of a session", () => {
  test("is kept by permission, and never what was not the session's own", async () => {
    const place = await play.connect();
    const uses = [
      { name: "sql.select", facets: { tables: ["public.orders\u0000"] }, count: 7 },
      { name: "sql.session", count: 2 },
    ];
    const other = await play.connect("bob");
    await play.tell(
      play.event("session.closed", { session: place.session, grant: other.grant }, { why: "client", uses }),
    );
    expect(await world.sql("select 1 from session_use where session_id = $1", [place.session])).toEqual([]);
    await play.tell(play.event("session.closed", { ...place }, { why: "client", uses }));
    await play.tell(play.event("session.closed", { ...place }, { why: "client", uses }));
    expect(
      await world.sql("select name, facets, count::int from session_use where session_id = $1 order by position", [
        place.session,
      ]),
    ).toEqual([
      { name: "sql.select", facets: { tables: ["public.orders"] }, count: 7 },
      { name: "sql.session", facets: null, count: 2 },
    ]);
  });
});

describe("a policy change", () => {
  test("expires what waits in a session, and tells it", async () => {
    const asked = await play.hold(await play.connect());
    const source = actionPolicy.replace("count: 1", "count: 2");
    await applyPolicy(control, await given.actor("root"), { source, base: 1 });
    await runOnce(control);
    expect(await play.show("ada", await play.theRequestOf(asked))).toMatchObject({
      state: "expired",
      why: "policy_changed",
    });
    expect(await play.settled(asked)).toEqual([
      { verdict: "expired", words: "expired: the policy that decided it has changed; ask again" },
    ]);
  });
});

describe("an outpost", () => {
  test("that enrolled before the roster held keys gets its own into it, once", async () => {
    const keyOf = async () => (await currentRoster(control)).head.outposts?.find(({ id }) => id === given.outpost)?.key;
    const key = await keyOf();
    expect(key).toBe(play.outpost.identityKey);
    await transact(control, async (tx) => {
      const outposts = [{ name: play.outpost.name, id: given.outpost }];
      await storeNextRoster(tx, control, await rosterIn(tx, control), { outposts });
    });
    expect(await keyOf()).toBeUndefined();
    await transact(control, (tx) => nameOutpostKey(tx, control, play.outpost));
    expect(await keyOf()).toBe(key);
    const { version } = (await currentRoster(control)).head;
    await transact(control, (tx) => nameOutpostKey(tx, control, play.outpost));
    expect((await currentRoster(control)).head.version).toBe(version);
  });

  test("that is replaced takes its sessions with it, and what they waited for", async () => {
    const place = await play.connect();
    const asked = await play.hold(place);
    await transact(control, (tx) => closeSessionsOf(tx, control, given.outpost, play.now()));
    expect(await play.show("ada", await play.theRequestOf(asked))).toMatchObject({
      state: "withdrawn",
      why: "session_closed",
    });
    const [session] = await world.sql("select state, why from sessions where id = $1", [place.session]);
    expect(session).toEqual({ state: "closed", why: "fault" });
  });
});
