/**
 * An outpost that exists in a test alone: it holds the key of the scenario's outpost, says what an outpost says, and is answered as one. For tests of
 * what the control plane makes of held actions and runs.
 */
import { applyMessages } from "@cardea/control/link/inbox";
import { assembleEvidence } from "@cardea/control/evidence/assemble";
import { grantIssued } from "@cardea/control/grants/outcomes";
import { showGrant } from "@cardea/control/grants/show";
import { showRequest } from "@cardea/control/requests/show";
import { castVote } from "@cardea/control/requests/vote";
import { maybeOneOutpost } from "@cardea/control/store/outposts";
import { transact } from "@cardea/control/store/transaction";
import { newId, RequestId, TaskId, type GrantId, type SessionId } from "@cardea/core/contract/ids";
import { digestOf, Digest } from "@cardea/core/documents/digest";
import type { Evidence } from "@cardea/core/documents/evidence";
import { keyIdOf, type Run } from "@cardea/core/documents/grant";
import { toTime, type Time } from "@cardea/core/documents/primitives";
import { Request, type Action, type Asked } from "@cardea/core/documents/request";
import { signDigest } from "@cardea/core/documents/signature";
import { toBase64Url } from "@cardea/core/lib/base64url";
import type { ManualClock } from "@cardea/core/lib/clock";
import { heldWindow, type ActionHeld } from "@cardea/core/wire/action-events";
import { CastVote, type RequestView } from "@cardea/core/wire/api/requests";
import type { LinkEvent, Receipt, TaskResult } from "@cardea/core/wire/link";
import type { TestControl } from "./control.ts";
import type { Scenario } from "./scenario.ts";

/** Reading and inserting are allowed; updates need 1 of dba, from a session and outside; deletes are refused. */
export const actionPolicy = `
version: 1
rules:
  - name: no-delete
    permits: { actions: [sql.delete] }
    effect: deny
    message: deletes go through a migration
  - name: engineers-read
    subjects: { groups: [engineering] }
    permits: { roles: [read], actions: [sql.insert] }
    limits: { maxDuration: 4h, via: [gateway] }
    effect: allow
  - name: engineers-update
    subjects: { groups: [engineering] }
    permits: { actions: [sql.update] }
    require: { justification: { minLength: 5 } }
    limits: { maxDuration: 1h }
    effect: review
    approvals: [{ count: 1, from: { groups: [dba] } }]
`;

const tables = ["public.orders"];
/** Also reads, which its deciding rule does not permit: a reader's session may do that anyway. */
export const update: Action = {
  type: "sql",
  name: "sql.update",
  what: { database: "orders", statement: "update orders set status = 'paid' where id = 7" },
  binding: {
    lines: ["updates public.orders (status) where id = 7"],
    patterns: [
      { name: "sql.update", tables },
      { name: "sql.select", tables },
    ],
    aspects: [],
  },
};

/** An action of another name, which touches nothing but what that says. */
export function named(name: string): Action {
  return { ...update, name, binding: { ...update.binding, patterns: [{ name, tables }] } };
}

/** A session and the grant whose key opened it. */
export interface Place {
  readonly grant: GrantId;
  readonly session: SessionId;
}

/** What a run is of. */
export interface Ending {
  readonly grant: GrantId;
  readonly digest: Digest;
  readonly session?: SessionId;
}

/** A held update that was approved. */
export interface ApprovedHold {
  readonly place: Place;
  readonly asked: Asked;
  readonly request: RequestId;
  readonly ending: Ending & { readonly session: SessionId };
}

export type PlayedOutpost = Awaited<ReturnType<typeof playOutpost>>;

/** Takes the part of the scenario's outpost. */
export async function playOutpost(world: TestControl, given: Scenario, clock: ManualClock) {
  const { control } = world;
  const stored = await maybeOneOutpost(control.db, control.keys, { id: given.outpost });
  if (stored === undefined) throw new Error("the outpost is stored");
  const outpost = stored.enrolment;
  const now = (): Time => toTime(clock.now());

  const event = (type: LinkEvent["type"], ids: Record<string, string>, data: object): LinkEvent => ({
    kind: "event",
    id: newId("event", clock, control.random),
    at: now(),
    type,
    ids,
    data: JSON.parse(JSON.stringify(data)) as LinkEvent["data"], // JSON, as it was just written
  });
  const tell = (...events: LinkEvent[]) => applyMessages(control, outpost, events);
  const answer = (task: TaskId, outcome: Receipt["outcome"]): Receipt => ({
    kind: "receipt",
    id: newId("event", clock, control.random),
    task,
    outcome,
  });
  const receipt = (task: TaskId, result: TaskResult) =>
    applyMessages(control, outpost, [answer(task, { ok: true, result })]);

  /** A session that is open with a reader's key. */
  async function connect(name = "ada"): Promise<Place> {
    clock.advance(1);
    const { grant } = await given.submit(name, { ask: { role: "read" }, via: "gateway", ticket: "OPS-7" });
    if (grant === undefined) throw new Error("reading is granted at once");
    await transact(control, (tx) =>
      grantIssued(tx, control, given.outpost, {
        type: "issued",
        grant: grant.id,
        sealed: { enc: "AAAA", ciphertext: "BBBB" },
        at: now(),
      }),
    );
    const session = newId("session", clock, control.random);
    const lease = newId("lease", clock, control.random);
    await tell(
      event("session.opened", { grant: grant.id, session, lease, key: keyIdOf(grant.id) }, { sourceIp: "10.0.0.7" }),
    );
    return { grant: grant.id, session };
  }

  async function askedIn(place: Place, action: Action, over: Partial<Asked> = {}): Promise<Asked> {
    const { document } = await showGrant(control, await given.actor("root"), place.grant);
    const [row] = await world.sql("select document from requests where digest = $1", [document.request]);
    const { asked } = Request.parse(JSON.parse(String(row?.["document"])));
    return {
      nonce: toBase64Url(control.random.bytes(16)),
      requester: asked.requester,
      resource: asked.resource,
      ask: { action },
      justification: asked.justification,
      ...(asked.ticket !== undefined && { ticket: asked.ticket }),
      window: { duration: heldWindow },
      within: place,
      ...over,
    };
  }

  const signed = (asked: Asked, seed = given.outpostSeed): ActionHeld => ({
    asked,
    signature: signDigest("outpost", outpost.id, seed, digestOf("asked", asked)),
    recent: ["select 1", "select \u0007 2"],
  });
  const heldEvent = (place: Place, data: object) =>
    event("action.held", { ...place, outpost: outpost.id, resource: given.resource }, data);

  /** A hold as its outpost tells of it. */
  async function hold(place: Place, action = update): Promise<Asked> {
    clock.advance(1);
    const asked = await askedIn(place, action);
    const acknowledged = await tell(heldEvent(place, signed(asked)));
    if (acknowledged.length !== 1) throw new Error("the hold was not acknowledged");
    return asked;
  }

  async function tasks(type: string, nonce?: string): Promise<Record<string, unknown>[]> {
    const rows = await world.sql(
      "select id, grant_id, state, payload from tasks where type = $1 and ($2::text is null or payload ->> 'nonce' = $2) order by id",
      [type, nonce ?? null],
    );
    return rows.map(({ payload, id, state }) => ({ ...(payload as object), task: id, state })); // a task is an object
  }
  const settled = async (asked: Asked) =>
    (await tasks("settle", asked.nonce)).map(({ verdict, words }) => ({ verdict, words }));

  async function requestOf(asked: Asked): Promise<RequestId | undefined> {
    const [row] = await world.sql("select id from requests where nonce = $1", [asked.nonce]);
    return row === undefined ? undefined : RequestId.parse(row["id"]);
  }
  async function theRequestOf(asked: Asked): Promise<RequestId> {
    const id = await requestOf(asked);
    if (id === undefined) throw new Error("the hold is filed");
    return id;
  }
  const show = async (name: string, id: RequestId): Promise<RequestView> =>
    showRequest(control, await given.actor(name), id);
  const vote = async (name: string, id: RequestId, input: object = {}) => {
    clock.advance(10);
    const view = await show("root", id);
    return castVote(
      control,
      await given.actor(name),
      id,
      CastVote.parse({ verdict: "approve", digest: view.digest, ...input }),
    );
  };
  /** What the log holds, or will hold, of a request. */
  const types = async (request: string) => {
    const rows = await world.sql(
      `select type from (
         select leaf::jsonb ->> 'type' as type, leaf::jsonb -> 'ids' ->> 'request' as request, index as n from audit_entries
         union all select event::jsonb ->> 'type', event::jsonb -> 'ids' ->> 'request', 1e15::bigint from audit_pending) as e
       where request = $1 order by n`,
      [request],
    );
    return rows.map((row) => row["type"]);
  };

  async function runTask(grant: GrantId): Promise<TaskId> {
    const [row] = await world.sql("select id from tasks where type = 'run' and grant_id = $1", [grant]);
    return TaskId.parse(row?.["id"]);
  }

  function ended({ grant, digest, session }: Ending, over: Partial<Run> = {}, seed = given.outpostSeed) {
    const run: Run = {
      v: 1,
      id: newId("run", clock, control.random),
      grant: digest,
      ...(session !== undefined && { session }),
      binding: update.binding ?? {},
      outcome: "done",
      rowCount: 1,
      at: now(),
      ...over,
    };
    return {
      type: "ran" as const,
      grant,
      run,
      signature: signDigest("outpost", outpost.id, seed, digestOf("run", run)),
    };
  }

  /** An approved held update, its grant and what an outpost would answer. */
  async function approved(name = "ada"): Promise<ApprovedHold> {
    const place = await connect(name);
    const asked = await hold(place);
    const request = await theRequestOf(asked);
    const { grant } = await vote("dan", request);
    if (grant === undefined) throw new Error("it is approved");
    return {
      place,
      asked,
      request,
      ending: { grant: grant.id, digest: Digest.parse(grant.digest), session: place.session },
    };
  }

  async function untilLogged(grant: GrantId, purpose: "issue" | "audit"): Promise<Evidence> {
    for (let tries = 0; tries < 200; tries++) {
      const evidence = await assembleEvidence(control, grant, purpose);
      if (evidence !== undefined) return evidence;
      await new Promise((done) => setTimeout(done, 20));
    }
    throw new Error("the log does not cover the grant");
  }

  return {
    outpost,
    now,
    event,
    tell,
    answer,
    receipt,
    connect,
    askedIn,
    signed,
    heldEvent,
    hold,
    tasks,
    settled,
    requestOf,
    theRequestOf,
    show,
    vote,
    types,
    runTask,
    ended,
    approved,
    untilLogged,
  };
}
