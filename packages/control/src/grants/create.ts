/**
 * Grants: made here from an approved request, begun at their start, ended, reviewed, shown. The outpost makes the key, from evidence that
 * it checks itself; what happens here only asks it to. The state of a grant is what the control plane knows of it and opens nothing.
 */
import { CardeaError } from "@cardea/core/contract/errors";
import { newId, type OutpostId } from "@cardea/core/contract/ids";
import { effectiveGrant } from "@cardea/core/approval/effective";
import type { Approved } from "@cardea/core/approval/tally";
import type { Grant } from "@cardea/core/documents/grant";
import { timeMs, toTime } from "@cardea/core/documents/primitives";
import { askedRole, type Request } from "@cardea/core/documents/request";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { Vote } from "@cardea/core/documents/vote";
import { durationMs } from "@cardea/core/lib/duration";
import { record } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import { notify } from "../notify/notify.ts";
import { keptRosterPart, relevantVotes, rosterPart } from "../evidence/roster-part.ts";
import type { RosterView } from "../people/roster.ts";
import { requestIds } from "../requests/view.ts";
import { concerned, whatIsAsked } from "../requests/tell.ts";
import { insertGrant, type NewGrant, type StoredGrant } from "../store/grants.ts";
import type { StoredPolicy } from "../store/policies.ts";
import { signDocument, type Signed } from "../store/signed.ts";
import { enqueueTask } from "../store/tasks.ts";

export interface CreateGrantInput {
  readonly request: Signed<Request>;
  readonly counted: Approved;
  /** All that were cast; `counted` says which count. */
  readonly votes: readonly Signed<Vote>[];
  readonly spec: ResourceSpec;
  /** That decided the request. */
  readonly policy: StoredPolicy;
  /** In force now. */
  readonly current: StoredPolicy;
  readonly roster: RosterView;
}

/**
 * Makes the grant of an approved request in the transaction of its last vote (or of the request itself, where policy allows it): the
 * document, its entry in the log and, unless it starts later, the outpost's task. Its window counts from the approval.
 * @throws CardeaError `narrowing_invalid` and its kin, where the approvers' narrowings leave nothing that could be enforced
 */
export async function createGrant(
  tx: Tx,
  control: Control,
  { request, counted, votes, spec, policy, current, roster }: CreateGrantInput,
): Promise<StoredGrant> {
  const { document } = request;
  const isCurrent = policy.signed.digest === current.signed.digest;
  const effective = effectiveGrant({
    request: document,
    narrowing: counted.narrowing,
    spec,
    policy: policy.signed.document,
    ...(!isCurrent && { current: current.signed.document }),
    activatedAt: counted.at,
  });
  if (!effective.ok) throw new CardeaError(effective.code, effective.detail);
  const grant: Grant = {
    v: 1,
    id: newId("grant", control.clock, control.random),
    request: request.digest,
    votes: [...counted.votes],
    ...effective.value,
  };
  const signed = signDocument(control.keys, "grant", grant);
  const { start } = document.asked.window;
  const { review } = document.decision;
  const created: NewGrant = {
    signed,
    request: document.id,
    // By what was asked, not by `notBefore`, which is a moment ahead where votes came in one millisecond or the clock was set back.
    state: start !== undefined && timeMs(start) > control.clock.now() ? "scheduled" : "issuing",
    requester: document.asked.requester.id,
    onBehalfOf: document.asked.requester.onBehalfOf,
    resourceId: document.resource.id,
    resource: document.asked.resource,
    role: askedRole(document.asked.ask),
    outpost: document.resource.outpost,
    createdPolicy: current.signed.document.version,
    judgedRoster: roster.head.version,
    rosterPart: keptRosterPart(rosterPart(roster, document, relevantVotes(votes, counted.votes))),
    createdEvent: newId("event", control.clock, control.random),
    createdAt: counted.at,
    reviewDueAt: review && toTime(timeMs(counted.at) + durationMs(review.within)),
  };
  await insertGrant(tx, created);
  await recordCreated(tx, control, request, created, roster);
  if (created.state === "issuing") await enqueueIssue(tx, control, created.outpost, grant);
  if (review !== undefined) await tellOfBreakGlass(tx, control, roster, request, created);
  control.wake.signal("grants", tx);
  return storedOf(created);
}

/** The leaf that evidence rests on: its data is exactly the digests of what was approved, and of the roster by which it was. */
async function recordCreated(
  tx: Tx,
  control: Control,
  request: Signed<Request>,
  { signed, createdEvent }: NewGrant,
  roster: RosterView,
): Promise<void> {
  await record(tx, control, {
    type: "grant.created",
    ids: { grant: signed.document.id, ...requestIds(request.document) },
    data: { request: request.digest, grant: signed.digest, votes: signed.document.votes, roster: roster.digest },
    eventId: createdEvent,
  });
}

/** Asks the outpost for the key, or for the one run of an action. The evidence is put together when the task is sent, once the log covers the grant. */
export async function enqueueIssue(tx: Tx, control: Control, outpost: OutpostId, grant: Grant): Promise<void> {
  await enqueueTask(tx, control, outpost, { type: "action" in grant.permissions ? "run" : "issue", grant: grant.id });
}

/** Everybody concerned, at once: reviewers, administrators, whose resource it is, and who made the request. */
async function tellOfBreakGlass(
  tx: Tx,
  control: Control,
  roster: RosterView,
  { document }: Signed<Request>,
  { signed, reviewDueAt }: NewGrant,
): Promise<void> {
  const from = document.decision.review?.from;
  const groups = from !== undefined && "groups" in from ? from.groups : [];
  const named = from !== undefined && "subjects" in from ? from.subjects : [];
  const told = roster
    .entries()
    .filter(
      (entry) =>
        entry.active && (entry.permissions.includes("admin") || entry.groups.some((group) => groups.includes(group))),
    );
  await notify(tx, control, {
    type: "grant.created",
    to: [...told.map((entry) => entry.subject), ...named, ...concerned(document)],
    request: document.id,
    grant: signed.document.id,
    words: `break-glass: ${whatIsAsked(roster, document)}; somebody else must look back at it by ${reviewDueAt ?? ""}: ${document.asked.justification}`,
    command: `cardea review ${signed.document.id}`,
  });
}

function storedOf(grant: NewGrant): StoredGrant {
  const {
    signed,
    request,
    state,
    requester,
    onBehalfOf,
    resource,
    role,
    outpost,
    createdPolicy,
    judgedRoster,
    createdEvent,
    reviewDueAt,
  } = grant;
  return {
    id: signed.document.id,
    request,
    state,
    why: undefined,
    detail: undefined,
    requester,
    onBehalfOf,
    resource,
    role,
    outpost,
    signed,
    createdPolicy,
    judgedPolicy: createdPolicy,
    judgedRoster,
    createdEvent,
    reviewDueAt,
    reviewedAt: undefined,
    sealed: undefined,
    issuedAt: undefined,
    endedAt: undefined,
    lease: undefined,
  };
}
