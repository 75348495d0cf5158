import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CastReview, GrantsQuery, RevokeGrant } from "@cardea/core/wire/api/grants";
import { CastVote, type RequestView, type SubmitRequest } from "@cardea/core/wire/api/requests";
import { newId, type GrantId, type LeaseId } from "@cardea/core/contract/ids";
import type { LinkEvent } from "@cardea/core/wire/link";
import { toTime } from "@cardea/core/documents/primitives";
import { manualClock, type ManualClock } from "@cardea/core/lib/clock";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { scenario, type Scenario } from "@cardea/testing/scenario";
import type { Actor, Control, Tx } from "../control.ts";
import { runOnce } from "../jobs/run.ts";
import { castVote } from "../requests/vote.ts";
import { transact } from "../store/transaction.ts";
import { beginGrant } from "./judge.ts";
import { fetchKey } from "./key.ts";
import { listGrants } from "./list.ts";
import { grantEnded, grantIssued, issueFailed, leaseEvent } from "./outcomes.ts";
import { releaseGrant } from "./release.ts";
import { reviewGrant } from "./review.ts";
import { revokeGrant } from "./revoke.ts";
import { showGrant } from "./show.ts";

let cluster: TestCluster;
let world: TestControl;
let control: Control;
let clock: ManualClock;
let given: Scenario;
const hour = 3_600_000;
const sealed = { enc: "AAAA", ciphertext: "BBBB" };

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

const now = () => toTime(clock.now());

function idOf(request: RequestView): GrantId {
  if (request.grant === undefined) throw new Error("the request has no grant");
  return request.grant.id;
}

async function granted(input: Partial<SubmitRequest> = {}): Promise<GrantId> {
  return idOf(await given.submit("ada", { ask: { role: "read" }, via: "direct", ...input }));
}

async function issue(grant: GrantId, lease: LeaseId = newId("lease", clock, control.random)): Promise<LeaseId> {
  await transact(control, (tx) =>
    grantIssued(tx, control, given.outpost, {
      type: "issued",
      grant,
      lease,
      nativeName: "cardea_abc",
      sealed,
      at: now(),
    }),
  );
  return lease;
}

async function active(input: Partial<SubmitRequest> = {}): Promise<GrantId> {
  const grant = await granted(input);
  await issue(grant);
  return grant;
}

const ended = (grant: GrantId, why: "expired" | "released" | "revoked" = "expired") =>
  transact(control, (tx) => grantEnded(tx, control, given.outpost, { type: "ended", grant, why, at: now() }));
const failed = (grant: GrantId, retryable: boolean) =>
  transact(control, (tx) =>
    issueFailed(tx, control, given.outpost, {
      grant,
      code: "resource_unreachable",
      detail: "nobody answers",
      retryable,
    }),
  );
const told = (grant: GrantId, lease: LeaseId, type: LinkEvent["type"], data: LinkEvent["data"] = {}) =>
  transact(control, (tx) =>
    leaseEvent(tx, control, given.outpost, {
      kind: "event",
      id: newId("event", clock, control.random),
      at: now(),
      type,
      ids: { grant, lease },
      data,
    }),
  );

const show = async (name: string, grant: GrantId) => showGrant(control, await given.actor(name), grant);
const release = async (name: string, grant: GrantId) => releaseGrant(control, await given.actor(name), grant);
const revoke = async (name: string, grant: GrantId, comment = "") =>
  revokeGrant(control, await given.actor(name), grant, RevokeGrant.parse({ comment }));
const fetch = async (name: string, grant: GrantId) => fetchKey(control, await given.actor(name), grant);
const review = async (
  name: string,
  grant: GrantId,
  verdict: "justified" | "misuse" = "justified",
  presence?: Actor["presence"],
) => reviewGrant(control, await given.actor(name, presence), grant, CastReview.parse({ verdict, comment: "seen" }));

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

const tasks = async (grant: GrantId) =>
  (
    await world.sql(
      "select type, state, payload ->> 'why' as why from tasks where grant_id = $1 order by created_at, id",
      [grant],
    )
  ).map((row) =>
    [row["type"], row["state"], row["why"]].flatMap((part) => (typeof part === "string" ? part : [])).join(" "),
  );

async function types(grant: GrantId): Promise<string[]> {
  const rows = await world.sql(
    "select event::jsonb ->> 'type' as type from audit_pending where event::jsonb -> 'ids' ->> 'grant' = $1 order by seq",
    [grant],
  );
  return rows.map((row) => String(row["type"]));
}

describe("a key", () => {
  test("is fetched by its requester alone, as often as they like until the grant ends, and each fetch is logged", async () => {
    const grant = await granted();
    expect(await code(fetch("ada", grant))).toBe("key_not_ready");
    await issue(grant);
    expect(await fetch("ada", grant)).toMatchObject({ grant, sealed });
    await fetch("ada", grant);
    for (const name of ["bob", "root", "audrey", "dan"]) expect(await code(fetch(name, grant))).toBe("not_found");
    expect((await types(grant)).filter((type) => type === "key.delivered")).toHaveLength(2);
    await release("ada", grant);
    expect(await code(fetch("ada", grant))).toBe("grant_ended");
    await ended(grant);
    expect(await code(fetch("ada", grant))).toBe("grant_ended");
    expect(await world.sql("select sealed from grants where id = $1", [grant])).toEqual([{ sealed: null }]);
  });

  test("is not handed out after the deadline, whether or not anybody has noticed it", async () => {
    const grant = await active({ window: { duration: "5m" } });
    clock.advance(5 * 60_000 - 1);
    expect(await code(fetch("ada", grant))).toBe("done");
    clock.advance(1);
    expect(await code(fetch("ada", grant))).toBe("grant_ended");
  });
});

describe("outposts report", () => {
  test("a key once: repeats change nothing, and nothing moves backwards", async () => {
    const grant = await granted();
    const lease = await issue(grant);
    await issue(grant, lease);
    expect(await show("ada", grant)).toMatchObject({
      state: "active",
      nativeName: "cardea_abc",
      lease: { state: "live" },
    });
    expect((await types(grant)).filter((type) => type === "grant.issued")).toHaveLength(1);
    await ended(grant);
    await issue(grant, lease);
    await ended(grant, "released");
    expect(await show("ada", grant)).toMatchObject({ state: "ended", why: "expired" });
    expect((await types(grant)).filter((type) => type === "grant.ended")).toHaveLength(1);
  });

  test("of their own grants only", async () => {
    const grant = await granted();
    const stranger = newId("outpost", clock, control.random);
    const by = (work: (tx: Tx) => Promise<unknown>) => code(transact(control, work));
    const lease = newId("lease", clock, control.random);
    expect(
      await by((tx) =>
        grantIssued(tx, control, stranger, { type: "issued", grant, lease, nativeName: "x", sealed, at: now() }),
      ),
    ).toBe("link_message_invalid");
    expect(
      await by((tx) => grantEnded(tx, control, stranger, { type: "ended", grant, why: "expired", at: now() })),
    ).toBe("link_message_invalid");
    expect(
      await by((tx) => issueFailed(tx, control, stranger, { grant, code: "internal", detail: "", retryable: false })),
    ).toBe("link_message_invalid");
    expect((await show("ada", grant)).state).toBe("issuing");
    const other = await granted();
    await issue(grant, lease);
    expect(await code(issue(other, lease))).toBe("link_message_invalid");
  });

  test("that a key could not be made: for good, or while they go on trying", async () => {
    const grant = await granted();
    await failed(grant, true);
    expect(await show("ada", grant)).toMatchObject({ state: "issuing", detail: "nobody answers" });
    await failed(grant, false);
    expect(await show("ada", grant)).toMatchObject({ state: "failed", why: "resource_unreachable" });
    expect(await code(fetch("ada", grant))).toBe("grant_failed");
    expect(await tasks(grant)).toContain("end open voided");
    await failed(grant, false);
    expect((await types(grant)).filter((type) => type === "grant.failed")).toHaveLength(1);
  });

  test("leases in whatever order their words arrive", async () => {
    const grant = await active();
    const lease = (await world.sql("select lease_id from grants where id = $1", [grant]))[0]?.["lease_id"] as LeaseId;
    await told(grant, lease, "lease.intended", { nativeName: "cardea_abc" });
    expect((await show("ada", grant)).lease).toEqual({ state: "live", stuck: false });
    await told(grant, lease, "lease.stuck", { detail: "owns a table" });
    expect((await show("ada", grant)).lease).toEqual({ state: "ending", stuck: true, detail: "owns a table" });
    await told(grant, lease, "lease.gone");
    await told(grant, lease, "lease.live");
    expect((await show("ada", grant)).lease).toEqual({ state: "gone", stuck: false, detail: "owns a table" });
    const fresh = await granted();
    const unseen = newId("lease", clock, control.random);
    await told(fresh, unseen, "lease.gone", { nativeName: "cardea_def" });
    expect((await show("ada", fresh)).lease).toMatchObject({ state: "gone" });
  });
});

describe("an end", () => {
  test("by release is the requester's; by revocation also approvers', administrators' and their own", async () => {
    const written = await given.submit("ada");
    for (const name of ["dan", "sam"])
      await castVote(
        control,
        await given.actor(name),
        written.id,
        CastVote.parse({ verdict: "approve", digest: written.digest }),
      );
    const approved = (await world.sql("select id from grants where request_id = $1", [written.id]))[0]?.[
      "id"
    ] as GrantId;
    expect(await code(release("dan", approved))).toBe("forbidden");
    expect(await code(release("root", approved))).toBe("forbidden");
    expect(await code(revoke("bob", approved))).toBe("not_found");
    expect(await code(revoke("audrey", approved))).toBe("forbidden");
    expect(await revoke("dan", approved, "wrong ticket")).toEqual({ grant: approved, state: "ending", why: "revoked" });
    expect(await show("ada", approved)).toMatchObject({ state: "ending", why: "revoked", detail: "wrong ticket" });
    for (const name of ["ada", "root"]) expect((await revoke(name, await active())).state).toBe("ending");
  });

  test("begins once: again is as good as once, and why it first ended stands", async () => {
    const grant = await active();
    expect(await release("ada", grant)).toEqual({ grant, state: "ending", why: "released" });
    expect(await revoke("root", grant)).toEqual({ grant, state: "ending", why: "released" });
    await ended(grant, "revoked");
    expect(await release("ada", grant)).toEqual({ grant, state: "ended", why: "released" });
    expect((await tasks(grant)).filter((task) => task.startsWith("end"))).toEqual(["end open released"]);
    expect((await types(grant)).filter((type) => type.startsWith("grant.end"))).toEqual([
      "grant.ending",
      "grant.ended",
    ]);
  });

  test("while the key is being made catches it: the late receipt opens nothing", async () => {
    const grant = await granted();
    await revoke("root", grant);
    await issue(grant);
    expect(await show("ada", grant)).toMatchObject({ state: "ending", why: "revoked" });
    expect(await code(fetch("ada", grant))).toBe("grant_ended");
    expect(await world.sql("select sealed from grants where id = $1", [grant])).toEqual([{ sealed: null }]);
    await ended(grant, "revoked");
    expect((await show("ada", grant)).state).toBe("ended");
  });

  test("of what has not begun is an end at once", async () => {
    const grant = await granted({ window: { start: toTime(clock.now() + hour), duration: "1h" } });
    expect(await release("ada", grant)).toEqual({ grant, state: "ended", why: "released" });
    // The outpost hears of it, so that no row can have it issued afterwards.
    expect(await tasks(grant)).toEqual(["end open released"]);
    await ended(grant, "released");
    clock.advance(hour);
    await runOnce(control);
    expect((await show("ada", grant)).state).toBe("ended");
  });

  test("many at the same moment are one", async () => {
    for (let round = 0; round < 5; round++) {
      const grant = await granted();
      const work = [
        () => revoke("root", grant),
        () => release("ada", grant),
        () => issue(grant),
        () => revoke("root", grant),
        () => ended(grant),
      ];
      const results = await Promise.all([...work.slice(round), ...work.slice(0, round)].map((one) => code(one())));
      expect(results).toEqual(["done", "done", "done", "done", "done"]);
      expect((await types(grant)).filter((type) => type === "grant.ending").length).toBeLessThanOrEqual(1);
      expect((await types(grant)).filter((type) => type === "grant.ended")).toHaveLength(1);
      expect((await show("ada", grant)).state).toBe("ended");
    }
  });

  test("by its deadline is asked for where the outpost does not report it", async () => {
    const grant = await active({ window: { duration: "5m" } });
    clock.advance(5 * 60_000);
    await runOnce(control);
    expect((await show("ada", grant)).state).toBe("active");
    clock.advance(20_000);
    await runOnce(control);
    expect(await show("ada", grant)).toMatchObject({ state: "ending", why: "expired" });
    expect(await tasks(grant)).toContain("end open expired");
  });
});

describe("a scheduled start", () => {
  const later = () => ({ start: toTime(clock.now() + hour), duration: "1h" });

  test("begins when it comes, once, and its window is the one that was asked for", async () => {
    const window = later();
    const grant = await granted({ window });
    expect(await show("ada", grant)).toMatchObject({
      state: "scheduled",
      document: { window: { notBefore: window.start } },
    });
    expect(await code(fetch("ada", grant))).toBe("key_not_ready");
    await runOnce(control);
    await beginGrant(control, grant);
    expect(await tasks(grant)).toEqual([]);
    clock.advance(hour);
    await using other = world.another();
    await Promise.all([
      beginGrant(control, grant),
      beginGrant(other.control, grant),
      beginGrant(control, grant),
      runOnce(other.control),
    ]);
    expect(await tasks(grant)).toEqual(["issue open"]);
    expect((await show("ada", grant)).state).toBe("issuing");
  });

  const losses: readonly (readonly [string, () => Promise<unknown>, () => Promise<unknown>])[] = [
    ["the requester left", () => given.change("ada", { active: false }), () => given.change("ada", { active: true })],
    [
      "the requester lost the group",
      () => given.change("ada", { groups: [] }),
      () => given.change("ada", { groups: ["engineering"] }),
    ],
    [
      "an approver lost the group",
      () => given.change("dan", { groups: [] }),
      () => given.change("dan", { groups: ["dba"] }),
    ],
    ["an approver left", () => given.change("sam", { active: false }), () => given.change("sam", { active: true })],
    ["the resource is another", () => given.report({ labels: { env: "prod", data: "more" } }), () => given.report({})],
  ];
  test.each(losses)("does not begin where meanwhile %s", async (_, lose, restore) => {
    const request = await given.submit("ada", { window: later() });
    for (const name of ["dan", "sam"])
      await castVote(
        control,
        await given.actor(name),
        request.id,
        CastVote.parse({ verdict: "approve", digest: request.digest }),
      );
    const grant = (await world.sql("select id from grants where request_id = $1", [request.id]))[0]?.["id"] as GrantId;
    expect((await show("audrey", grant)).state).toBe("scheduled");
    await lose();
    clock.advance(hour);
    await beginGrant(control, grant);
    expect(await show("audrey", grant)).toMatchObject({ state: "ended", why: "voided" });
    expect(await tasks(grant)).toEqual(["end open voided"]);
    await restore();
  });
});

describe("people change", () => {
  test("and open grants of somebody put out of action end, their own and those they approved; other changes end none", async () => {
    const own = await active();
    const request = await given.submit("ada");
    for (const name of ["dan", "sam"])
      await castVote(
        control,
        await given.actor(name),
        request.id,
        CastVote.parse({ verdict: "approve", digest: request.digest }),
      );
    const approved = (await world.sql("select id from grants where request_id = $1", [request.id]))[0]?.[
      "id"
    ] as GrantId;
    await issue(approved);
    await given.change("dan", { groups: ["leads"] });
    await runOnce(control);
    expect([(await show("audrey", own)).state, (await show("audrey", approved)).state]).toEqual(["active", "active"]);
    await given.change("dan", { groups: ["dba"], active: false });
    await runOnce(control);
    expect([(await show("audrey", own)).state, (await show("audrey", approved)).state]).toEqual(["active", "ending"]);
    await given.change("dan", { active: true });
    await given.change("ada", { active: false });
    await runOnce(control);
    expect(await show("audrey", own)).toMatchObject({ state: "ending", why: "voided" });
    await given.change("ada", { active: true });
  });
});

describe("break-glass", () => {
  const fire = (name = "bob") =>
    given.submit(name, {
      ask: { role: "admin" },
      via: "direct",
      breakGlass: true,
      justification: "the database is on fire",
      window: { duration: "30m" },
    });

  test("opens at once, tells everybody concerned, and leaves a debt that somebody else must pay before the next", async () => {
    const request = await fire();
    const grant = idOf(request);
    expect(request.grant).toMatchObject({ state: "issuing", reviewOwed: true });
    const [notification] = await world.sql("select recipients from notifications where grant_id = $1", [grant]);
    for (const name of ["sam", "dora", "root", "bob"])
      expect(notification?.["recipients"]).toContain(await given.subject(name));
    expect(await code(fire())).toBe("policy_denied");
    // The debt is in the way of break-glass only.
    expect((await given.submit("bob", { ask: { role: "read" }, via: "direct" })).state).toBe("approved");

    expect(
      (await listGrants(control, await given.actor("sam"), GrantsQuery.parse({ view: "to-review" }))).items.map(
        ({ id }) => id,
      ),
    ).toEqual([grant]);
    expect(
      (await listGrants(control, await given.actor("bob"), GrantsQuery.parse({ view: "to-review" }))).items,
    ).toEqual([]);
    expect(await code(review("bob", grant))).toBe("self_review");
    expect(await code(review("root", grant))).toBe("not_an_approver");
    expect(await code(review("ada", grant))).toBe("not_found");
    expect(
      await code(
        review("sam", grant, "justified", { method: "api-token", token: newId("token", clock, control.random) }),
      ),
    ).toBe("token_forbidden");
    expect(await review("sam", grant, "misuse")).toMatchObject({ reviewOwed: false });
    expect(await code(review("dora", grant))).toBe("review_not_owed");
    const again = await fire();
    expect(again.state).toBe("approved");
    await review("sam", idOf(again));
  });

  test("leaves a debt that no row pays without a signed review", async () => {
    const first = idOf(await fire());
    await world.sql("update grants set reviewed_at = now() where id = $1", [first]);
    expect(await code(fire())).toBe("policy_denied");
    await world.sql(
      `insert into reviews (id, grant_id, reviewer, verdict, digest, document, signatures, reviewed_at)
       select 'rev_' || substr(id, 5), id, requester, 'justified', digest, document, signatures, now() from grants where id = $1`,
      [first],
    );
    expect(await code(fire())).toBe("policy_denied");
    await world.sql("delete from reviews where grant_id = $1", [first]);
    await world.sql("update grants set reviewed_at = null where id = $1", [first]);
    await review("sam", first);
    const again = await fire();
    await review("sam", idOf(again));
  });

  test("leaves a debt that is owed also where its rows are gone, hidden or somebody else's", async () => {
    const first = idOf(await fire());
    await world.sql("update grants set review_due_at = null where id = $1", [first]);
    expect(await code(fire())).toBe("policy_denied");
    await world.sql("update grants set requester = $2, review_due_at = now() where id = $1", [
      first,
      await given.subject("ada"),
    ]);
    expect(await code(fire())).toBe("policy_denied");
    await world.sql("alter table grants rename to grants_before");
    await world.sql("create table grants as select * from grants_before where id <> $1", [first]);
    expect(await code(fire())).toBe("policy_denied");
    await world.sql("drop table grants");
    await world.sql("alter table grants_before rename to grants");
    await world.sql("update grants set requester = $2 where id = $1", [first, await given.subject("bob")]);
    await review("sam", first);
    const again = await fire();
    await review("sam", idOf(again));
  });

  test("twice at the same moment opens once: the second meets the first's debt", async () => {
    for (let round = 0; round < 4; round++) {
      const outcomes = await Promise.all(
        Array.from({ length: 4 }, () =>
          fire().then(
            (view) => idOf(view),
            (error: unknown) => (error as { code: string }).code,
          ),
        ),
      );
      const grants = outcomes.filter((one) => one.startsWith("gra_"));
      expect([grants.length, outcomes.filter((one) => one === "policy_denied").length]).toEqual([1, 3]);
      await review("sam", grants[0] as GrantId);
    }
  });

  test("is not what an ordinary request gets, and gets no ordinary one", async () => {
    expect(await code(given.submit("bob", { ask: { role: "admin" }, via: "direct" }))).toBe("policy_denied");
    expect(await code(given.submit("bob", { ask: { role: "read" }, via: "direct", breakGlass: true }))).toBe(
      "policy_denied",
    );
  });

  test("reviews of one grant at the same moment are one", async () => {
    const grant = idOf(await fire());
    const outcomes = await Promise.all([
      code(review("sam", grant)),
      code(review("dora", grant, "misuse")),
      code(review("sam", grant)),
    ]);
    expect(outcomes.sort()).toEqual(["done", "review_not_owed", "review_not_owed"]);
  });

  test("a grant without review owed waits for none", async () => {
    expect(await code(review("root", await active()))).toBe("review_not_owed");
  });
});

test("grants are listed for whom they concern, newest first, in pages", async () => {
  const made: GrantId[] = [];
  for (let n = 0; n < 5; n++) {
    clock.advance(1);
    made.unshift(await granted());
  }
  const ada = await given.actor("ada");
  const first = await listGrants(control, ada, GrantsQuery.parse({ view: "mine", limit: 3 }));
  const second = await listGrants(control, ada, GrantsQuery.parse({ view: "mine", limit: 2, cursor: first.next }));
  expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(made);
  expect((await listGrants(control, await given.actor("eve"), GrantsQuery.parse({}))).items).toEqual([]);
  expect(
    (
      await listGrants(control, await given.actor("audrey"), GrantsQuery.parse({ view: "live", limit: 200 }))
    ).items.every(({ state }) => !["ended", "failed"].includes(state)),
  ).toBe(true);
  expect(
    (await listGrants(control, ada, GrantsQuery.parse({ state: "issuing", limit: 5 }))).items.map(({ id }) => id),
  ).toEqual(made);
  expect(await code(listGrants(control, ada, GrantsQuery.parse({ cursor: "x" })))).toBe("invalid_request");
});
