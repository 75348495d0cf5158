import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GrantsQuery } from "@cardea/core/wire/api/grants";
import { EndSession, SessionsQuery } from "@cardea/core/wire/api/sessions";
import { newId, type GrantId, type LeaseId, type SessionId } from "@cardea/core/contract/ids";
import { keyIdOf } from "@cardea/core/documents/grant";
import { toTime } from "@cardea/core/documents/primitives";
import type { Enrolment } from "@cardea/core/wire/enrolment";
import type { LinkEvent } from "@cardea/core/wire/link";
import { manualClock, type ManualClock } from "@cardea/core/lib/clock";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import { scenario, type Scenario } from "@cardea/testing/scenario";
import type { Control } from "../control.ts";
import { fetchKey } from "../grants/key.ts";
import { listGrants } from "../grants/list.ts";
import { grantIssued } from "../grants/outcomes.ts";
import { showGrant } from "../grants/show.ts";
import { applyMessages } from "../link/inbox.ts";
import { maybeOneOutpost } from "../store/outposts.ts";
import { transact } from "../store/transaction.ts";
import { endSession } from "./end.ts";
import { listSessions } from "./list.ts";
import { showSession } from "./show.ts";

let cluster: TestCluster;
let world: TestControl;
let control: Control;
let clock: ManualClock;
let given: Scenario;
let outpost: Enrolment;
const sealed = { enc: "AAAA", ciphertext: "BBBB" };

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
  clock = manualClock(Date.parse("2026-11-22T09:00:00.000Z"));
  world = await startTestControl(cluster, { clock });
  control = world.control;
  given = await scenario(control);
  await given.report({ owners: { groups: ["leads"] } });
  const stored = await maybeOneOutpost(control.db, control.keys, { id: given.outpost });
  if (stored === undefined) throw new Error("the outpost is stored");
  outpost = stored.enrolment;
});
afterAll(async () => {
  await world.stop();
  await cluster.stop();
});

const now = () => toTime(clock.now());

/** A gateway's key in use by its requester. */
async function active(name = "ada"): Promise<GrantId> {
  const { grant } = await given.submit(name, { ask: { role: "read" }, via: "gateway" });
  if (grant === undefined) throw new Error("reading is granted at once");
  await transact(control, (tx) =>
    grantIssued(tx, control, given.outpost, { type: "issued", grant: grant.id, sealed, at: now() }),
  );
  return grant.id;
}

interface Place {
  readonly grant: GrantId;
  readonly session: SessionId;
  readonly lease: LeaseId;
}
function newPlace(grant: GrantId): Place {
  // Ids of one millisecond are in no order.
  clock.advance(1);
  return {
    grant,
    session: newId("session", clock, control.random),
    lease: newId("lease", clock, control.random),
  };
}

const event = (type: LinkEvent["type"], ids: Record<string, string>, data: LinkEvent["data"]): LinkEvent => ({
  kind: "event",
  id: newId("event", clock, control.random),
  at: now(),
  type,
  ids,
  data,
});
const tell = (...events: LinkEvent[]) => applyMessages(control, outpost, events);
const idsOf = (place: Place) => ({ ...place, key: keyIdOf(place.grant), resource: given.resource });
const openedEvent = (place: Place, data: object = {}) =>
  event("session.opened", idsOf(place), {
    sourceIp: "10.0.0.7",
    database: "orders",
    application: "psql",
    tls: "TLSv1.3",
    ...data,
  });
const use = { actions: 3, refused: 1, rows: 12, bytesIn: 210, bytesOut: 4096 };
const closedEvent = (place: Place, data: object = {}) =>
  event("session.closed", idsOf(place), { why: "client", ...use, ...data });

async function open(grant: GrantId): Promise<Place> {
  const place = newPlace(grant);
  await tell(openedEvent(place));
  return place;
}

const show = async (name: string, id: SessionId) => showSession(control, await given.actor(name), id);
const end = async (name: string, id: SessionId, comment = "") =>
  endSession(control, await given.actor(name), id, EndSession.parse({ comment }));
const list = async (name: string, query: object = {}) =>
  listSessions(control, await given.actor(name), SessionsQuery.parse(query));
const ids = async (name: string, query: object = {}) => (await list(name, query)).items.map(({ id }) => id);

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

const closings = (session: SessionId) =>
  world.sql("select outpost, payload ->> 'why' as why from tasks where type = 'close' and payload ->> 'session' = $1", [
    session,
  ]);

describe("a gateway's key", () => {
  test("is active without a lease or a login, and is fetched like any other", async () => {
    const grant = await active();
    const view = await showGrant(control, await given.actor("ada"), grant);
    expect(view).toMatchObject({ state: "active", sessions: { open: 0, opened: 0 } });
    expect(view.lease).toBeUndefined();
    expect(view.nativeName).toBeUndefined();
    expect(await fetchKey(control, await given.actor("ada"), grant)).toMatchObject({ grant, sealed });
  });

  test("shows how many sessions it has and had, wherever grants are listed", async () => {
    const grant = await active();
    const first = await open(grant);
    await open(grant);
    await tell(closedEvent(first));
    expect((await showGrant(control, await given.actor("ada"), grant)).sessions).toEqual({ open: 1, opened: 2 });
    const page = await listGrants(control, await given.actor("ada"), GrantsQuery.parse({}));
    expect(page.items.find(({ id }) => id === grant)?.sessions).toEqual({ open: 1, opened: 2 });
  });

  test("ends by its outpost's word alone, as spent, and once", async () => {
    const grant = await active();
    const spent = () => event("grant.ended", { grant }, { why: "spent" });
    await tell(spent(), spent());
    expect(await showGrant(control, await given.actor("ada"), grant)).toMatchObject({ state: "ended", why: "spent" });
    const logged = await world.sql(
      "select 1 from audit_pending where event::jsonb ->> 'type' = 'grant.ended' and event::jsonb -> 'ids' ->> 'grant' = $1",
      [grant],
    );
    expect(logged).toHaveLength(1);
  });

  test("goes on when the lease of one of its sessions is over; one that is stuck shows", async () => {
    const grant = await active();
    const [one, other] = [newPlace(grant), newPlace(grant)];
    await tell(
      event("lease.live", { ...one }, { nativeName: "cardea_one" }),
      event("lease.live", { ...other }, { nativeName: "cardea_other" }),
      event("lease.gone", { ...one }, { nativeName: "cardea_one", why: "released", over: true }),
    );
    const actor = await given.actor("ada");
    expect(await showGrant(control, actor, grant)).toMatchObject({ state: "active" });
    expect((await showGrant(control, actor, grant)).lease).toBeUndefined();
    expect(
      await world.sql("select native_name, state from leases where grant_id = $1 order by native_name", [grant]),
    ).toEqual([
      { native_name: "cardea_one", state: "gone" },
      { native_name: "cardea_other", state: "live" },
    ]);
    await tell(event("lease.stuck", { ...other }, { detail: "owns a table" }));
    expect((await showGrant(control, actor, grant)).lease).toEqual({
      state: "ending",
      stuck: true,
      detail: "owns a table",
    });
  });
});

describe("a session", () => {
  test("is shown from its beginning to its end, with what was done in it", async () => {
    const grant = await active();
    const place = await open(grant);
    expect(await show("ada", place.session)).toEqual({
      id: place.session,
      grant,
      key: keyIdOf(grant),
      state: "open",
      requester: expect.objectContaining({ name: "ada" }) as object,
      resource: "prod-orders",
      role: "read",
      sourceIp: "10.0.0.7",
      database: "orders",
      application: "psql",
      tls: "TLSv1.3",
      openedAt: now(),
      ending: false,
    });
    clock.advance(1_000);
    await tell(closedEvent(place, { why: "deadline", words: "the grant is over" }));
    expect(await show("ada", place.session)).toMatchObject({
      state: "closed",
      closedAt: now(),
      why: "deadline",
      words: "the grant is over",
      use,
    });
  });

  test("that a crash of the outpost ended is closed, with nothing said of what was done in it", async () => {
    const place = await open(await active());
    await tell(event("session.closed", idsOf(place), { why: "fault" }));
    const view = await show("ada", place.session);
    expect(view).toMatchObject({ state: "closed", why: "fault" });
    expect(view.use).toBeUndefined();
  });

  test("is told of at least once and in any order: repeats change nothing, and nothing opens again", async () => {
    const place = newPlace(await active());
    const first = closedEvent(place);
    await tell(first, openedEvent(place), first, closedEvent(place, { why: "killed", actions: 99 }));
    expect(await show("ada", place.session)).toMatchObject({ state: "closed", why: "client", use });
  });

  test("is heard of from the grant's own outpost alone, and never moves to another grant", async () => {
    const place = await open(await active());
    const stranger = { ...outpost, id: newId("outpost", clock, control.random) };
    expect(await applyMessages(control, stranger, [closedEvent(place)])).toEqual([]);
    const other = await active();
    await tell(closedEvent({ ...place, grant: other }));
    expect(await show("ada", place.session)).toMatchObject({ state: "open", grant: place.grant });
  });

  test.each([
    ["no address", { sourceIp: undefined }],
    ["a number for the address", { sourceIp: 7 }],
  ])("with %s is not taken, nor is it acknowledged", async (_, data) => {
    const place = newPlace(await active());
    expect(await tell(openedEvent(place, data))).toEqual([]);
    expect(await code(show("ada", place.session))).toBe("not_found");
  });

  test("cannot put what reorders or hides text into what others read", async () => {
    const place = newPlace(await active());
    await tell(openedEvent(place, { application: "ps\u0000q\u202el\u001b[2J" }));
    expect((await show("ada", place.session)).application).toBe("psql[2J");
  });

  test("is seen by its requester, those who oversee, and the resource's owners; by nobody else", async () => {
    const { session } = await open(await active());
    for (const name of ["ada", "root", "audrey", "lea"]) expect(await code(show(name, session)), name).toBe("done");
    for (const name of ["bob", "dan", "eve"]) expect(await code(show(name, session)), name).toBe("not_found");
    expect(await code(show("root", newId("session", clock, control.random)))).toBe("not_found");
  });
});

describe("the list", () => {
  test("has one's own; for auditors and administrators everybody's, unless they ask for their own", async () => {
    const [mine, hers] = [await open(await active("ada")), await open(await active("bob"))];
    expect(await ids("ada")).toContain(mine.session);
    expect(await ids("ada")).not.toContain(hers.session);
    for (const name of ["root", "audrey"])
      expect(await ids(name)).toEqual(expect.arrayContaining([mine.session, hers.session]));
    expect(await ids("root", { view: "mine" })).toEqual([]);
    expect(await ids("eve")).toEqual([]);
  });

  test("of one grant is for whoever may see the grant, and its resource's owners", async () => {
    const place = await open(await active());
    await open(await active());
    for (const name of ["ada", "root", "audrey", "lea"])
      expect(await ids(name, { grant: place.grant }), name).toEqual([place.session]);
    expect(await ids("lea")).toEqual([]);
    expect(await code(list("bob", { grant: place.grant }))).toBe("not_found");
  });

  test("is filtered by resource and state, and comes in pages, newest first", async () => {
    const grant = await active();
    const places = [await open(grant), await open(grant), await open(grant)].map(({ session }) => session);
    await tell(closedEvent({ ...newPlace(grant), session: places[1] ?? newId("session", clock, control.random) }));
    expect(await ids("ada", { grant, state: "open" })).toEqual([places[2], places[0]]);
    expect(await ids("ada", { grant, state: "closed", resource: "prod-orders" })).toEqual([places[1]]);
    expect(await ids("ada", { grant, resource: "elsewhere" })).toEqual([]);
    const first = await list("ada", { grant, limit: 2 });
    expect(first.items.map(({ id }) => id)).toEqual([places[2], places[1]]);
    expect(await ids("ada", { grant, limit: 2, cursor: first.next })).toEqual([places[0]]);
    expect(await code(list("ada", { cursor: "nonsense" }))).toBe("invalid_request");
  });
});

describe("ending a session", () => {
  test("is asked of the outpost once, in words for the client, and logged with who asked", async () => {
    const { session, grant } = await open(await active());
    expect(await end("root", session, "looks odd")).toMatchObject({ state: "open", ending: true });
    expect(await end("ada", session)).toMatchObject({ ending: true });
    expect(await closings(session)).toEqual([{ outpost: given.outpost, why: "root ended the session: looks odd" }]);
    const logged = await world.sql(
      "select event::jsonb -> 'ids' ->> 'actor' as actor from audit_pending where event::jsonb ->> 'type' = 'session.ending' and event::jsonb -> 'ids' ->> 'session' = $1",
      [session],
    );
    expect(logged).toEqual([{ actor: await given.subject("root") }]);
    const told = await world.sql("select words from notifications where type = 'session.ending' and grant_id = $1", [
      grant,
    ]);
    expect(told).toHaveLength(1);
  });

  test("is for the requester, the resource's owners and administrators; an auditor only looks", async () => {
    for (const name of ["ada", "lea", "root"]) {
      const { session } = await open(await active());
      expect(await code(end(name, session)), name).toBe("done");
      expect(await closings(session)).toHaveLength(1);
    }
    const { session } = await open(await active());
    expect(await code(end("audrey", session))).toBe("forbidden");
    for (const name of ["bob", "dan", "eve"]) expect(await code(end(name, session)), name).toBe("not_found");
    expect(await closings(session)).toEqual([]);
  });

  test("of one that is closed asks nothing of anybody", async () => {
    const place = await open(await active());
    await tell(closedEvent(place));
    expect(await end("ada", place.session)).toMatchObject({ state: "closed", ending: false });
    expect(await closings(place.session)).toEqual([]);
  });

  test("keeps to the task's length however long the words are", async () => {
    const { session } = await open(await active());
    await end("root", session, "x".repeat(150));
    expect(String((await closings(session))[0]?.["why"]).length).toBeLessThanOrEqual(200);
    expect(EndSession.safeParse({ comment: "x".repeat(151) }).success).toBe(false);
  });
});
