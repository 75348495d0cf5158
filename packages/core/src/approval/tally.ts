/**
 * The one function that counts votes. Called at every vote, activation, session and hold, by the control plane and again by the outpost from
 * evidence; nothing else counts. It reads the request's own stages, the votes and the roster as it is now, and keeps nothing.
 *
 * Votes are replayed in the order of their instants. A stage opens at the instant the one before it was met, the first at filing. A vote counts
 * only for the stage open at its `at`, for this request's digest, before the request expired, and while it has not expired itself. A human
 * counts once for a request, over all stages and groups; never the requester or for whom the requester acts, never an agent or workload.
 */
import type { SubjectId } from "../contract/ids.ts";
import type { Requirement } from "../documents/decision.ts";
import { digestOf, type Digest } from "../documents/digest.ts";
import type { Time } from "../documents/primitives.ts";
import type { Request } from "../documents/request.ts";
import type { Vote } from "../documents/vote.ts";
import { matchToPlaces } from "../lib/matching.ts";
import { combineNarrowings, type CombinedNarrowing } from "./narrowing.ts";
import { canMeet, escalatesAt, whyNever, type Entries } from "./standing.ts";

export interface TallyInput {
  readonly request: Request;
  /** In any order; those of other requests are passed over. */
  readonly votes: readonly Vote[];
  readonly entries: Entries;
  readonly now: Time;
}

/** A requirement of the open stage that is not met yet. */
export interface Missing {
  readonly requirement: Requirement;
  /** How many more people it needs. */
  readonly remaining: number;
  /** When, if not met by then, those of `requirement.escalate` may meet it too. */
  readonly escalatesAt?: Time;
}

export interface Pending {
  readonly state: "pending";
  /** One-based. */
  readonly stage: number;
  readonly openedAt: Time;
  readonly missing: readonly Missing[];
  /** Whose approvals count so far, in this stage and in earlier ones. */
  readonly voted: readonly SubjectId[];
  /** Of those, who counted for a stage that is closed: they cannot count again. */
  readonly counted: readonly SubjectId[];
  readonly narrowing: CombinedNarrowing;
}

export interface Approved {
  readonly state: "approved";
  /** Digests of the votes that met the requirements, in the order they were cast. */
  readonly votes: readonly Digest[];
  readonly narrowing: CombinedNarrowing;
  /** When the last stage was met; the filing, where there are no stages. */
  readonly at: Time;
}

export interface Denied {
  readonly state: "denied";
  /** Absent where policy itself refused. */
  readonly by?: SubjectId;
  readonly vote?: Digest;
}

export type Tally = Pending | Approved | Denied;

/** Counts. Pure; the order of `votes` does not matter. */
export function tally({ request, votes, entries, now }: TallyInput): Tally {
  const { stages, effect, expiresAt } = request.decision;
  if (effect === "deny") return { state: "denied" };
  const own = digestOf("request", request);
  const cast = votes
    .filter((vote) => vote.request === own && vote.at >= request.createdAt && vote.at < expiresAt && vote.at <= now)
    .sort(byInstant);
  const narrowing = combineNarrowings(
    cast.flatMap((vote) => (vote.verdict === "approve" && vote.narrowing !== undefined ? [vote.narrowing] : [])),
  );

  const spent: Vote[] = [];
  let stage = 1;
  let openedAt: Time = request.createdAt;
  let approvals: readonly Vote[] = [];
  for (const vote of cast) {
    const requirements = stages[stage - 1];
    if (requirements === undefined) break;
    if (vote.stage !== stage || whyNever(request, vote.approver, entries) !== undefined) continue;
    approvals = approvals.filter((earlier) => earlier.approver !== vote.approver);
    if (vote.expiresAt <= now || fitting(requirements, vote, entries, openedAt).length === 0) continue;
    if (vote.verdict === "deny") return { state: "denied", by: vote.approver, vote: digestOf("vote", vote) };
    if (spent.some((earlier) => earlier.approver === vote.approver)) continue;
    approvals = [...approvals, vote];
    const counted = count(requirements, approvals, entries, openedAt);
    if (counted.some(({ remaining }) => remaining > 0)) continue;
    spent.push(...approvals.filter((approval) => counted.some(({ filled }) => filled.includes(approval))));
    approvals = [];
    stage += 1;
    openedAt = vote.at;
  }

  const open = stages[stage - 1];
  if (open === undefined)
    return { state: "approved", votes: spent.map((vote) => digestOf("vote", vote)), narrowing, at: openedAt };
  const counted = count(open, approvals, entries, openedAt);
  const missing = counted
    .filter(({ remaining }) => remaining > 0)
    .map(({ requirement, remaining }) => missingOf(requirement, remaining, openedAt));
  const voted = [...spent, ...approvals].map((vote) => vote.approver);
  return { state: "pending", stage, openedAt, missing, voted, counted: spent.map((vote) => vote.approver), narrowing };
}

interface Counted {
  readonly requirement: Requirement;
  readonly filled: readonly Vote[];
  readonly remaining: number;
}

function count(
  requirements: readonly Requirement[],
  approvals: readonly Vote[],
  entries: Entries,
  openedAt: Time,
): Counted[] {
  const seated = matchToPlaces(
    approvals.map((vote) => fitting(requirements, vote, entries, openedAt)),
    requirements.map((requirement) => requirement.count),
  );
  return requirements.map((requirement, index) => {
    const filled = (seated[index] ?? []).map((voter) => approvals[voter]).filter((vote) => vote !== undefined);
    return { requirement, filled, remaining: Math.max(0, requirement.count - filled.length) };
  });
}

/** Which of the requirements the vote's author can meet, as indexes. Escalation is judged at the vote's own instant. */
function fitting(requirements: readonly Requirement[], vote: Vote, entries: Entries, openedAt: Time): number[] {
  const entry = entries(vote.approver);
  return requirements.flatMap((requirement, index) =>
    entry !== undefined && canMeet(requirement, entry, openedAt, vote.at) ? [index] : [],
  );
}

function missingOf(requirement: Requirement, remaining: number, openedAt: Time): Missing {
  const opens = escalatesAt(requirement, openedAt);
  return { requirement, remaining, ...(opens === undefined ? {} : { escalatesAt: opens }) };
}

/** Votes of one instant: earlier stages first, so that a stage met in it is open to the next; a denial before an approval. */
function byInstant(a: Vote, b: Vote): number {
  const differences = [compare(a.at, b.at), a.stage - b.stage, compare(b.verdict, a.verdict), compare(a.id, b.id)];
  return differences.find((difference) => difference !== 0) ?? 0;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
