import { CardeaError } from "@cardea/core/contract/errors";
import type { GrantId, SubjectId } from "@cardea/core/contract/ids";
import type { Request } from "@cardea/core/documents/request";
import type { Vote } from "@cardea/core/documents/vote";
import type { Actor, Control, Tx } from "../control.ts";
import { currentRoster, rosterIn, type RosterView } from "../people/roster.ts";
import { maybeOneGrant, maybeOneGrantLocked, type StoredGrant } from "../store/grants.ts";
import { manyVotes } from "../store/requests.ts";
import type { Signed } from "../store/signed.ts";
import { originOf } from "./origin.ts";

/** A grant with what it came from. */
export interface SeenGrant {
  readonly grant: StoredGrant;
  readonly request: Signed<Request>;
  readonly votes: readonly Signed<Vote>[];
  readonly roster: RosterView;
}

/**
 * The grant, its row locked, if the caller may see it: who made the request, who voted on it, who reviews it, who oversees.
 * @throws CardeaError `not_found`; `evidence_signature` where a row was altered
 */
export async function seeGrantLocked(tx: Tx, control: Control, actor: Actor, id: GrantId): Promise<SeenGrant> {
  const grant = await maybeOneGrantLocked(tx, control.keys, id);
  const seen = grant && (await maybeSee(tx, control, actor, await rosterIn(tx, control), grant));
  if (seen === undefined) throw unseen(id);
  return seen;
}

/** Like `seeGrantLocked`, to look only. */
export async function seeGrant(control: Control, actor: Actor, id: GrantId): Promise<SeenGrant> {
  const grant = await maybeOneGrant(control.db, control.keys, { id });
  const seen = grant && (await maybeSee(control.db, control, actor, await currentRoster(control), grant));
  if (seen === undefined) throw unseen(id);
  return seen;
}

/** The grant with what it came from, or undefined where the caller may not see it. */
export async function maybeSee(
  db: Tx | Control["db"],
  control: Control,
  actor: Actor,
  roster: RosterView,
  grant: StoredGrant,
): Promise<SeenGrant | undefined> {
  const seen = await withOrigin(db, control, roster, grant);
  return isVisible(actor, seen) ? seen : undefined;
}

/** The grant with what it came from, whoever looks. @throws CardeaError `evidence_mismatch`, `evidence_signature` where a row was altered */
export async function withOrigin(
  db: Tx | Control["db"],
  control: Control,
  roster: RosterView,
  grant: StoredGrant,
): Promise<SeenGrant> {
  const request = await originOf(db, control, grant);
  const votes = await manyVotes(db, control.keys, grant.request);
  return { grant, request, votes, roster };
}

export function isVisible(actor: Actor, seen: SeenGrant): boolean {
  if (actor.permissions.includes("auditor") || actor.permissions.includes("admin")) return true;
  return (
    isConcerned(seen.request.document, actor.subject) ||
    hasVoted(seen.votes, actor.subject) ||
    isReviewer(seen, actor.subject)
  );
}

/** The requester, or the one an agent acts for. */
export function isConcerned({ asked: { requester } }: Request, subject: SubjectId): boolean {
  return subject === requester.id || subject === requester.onBehalfOf;
}

export function hasVoted(votes: readonly Signed<Vote>[], subject: SubjectId): boolean {
  return votes.some((vote) => vote.document.approver === subject);
}

/** Whether the rule asks this human to look back at the grant; never somebody behind the request. */
export function isReviewer(
  { request: { document }, roster }: Pick<SeenGrant, "request" | "roster">,
  subject: SubjectId,
): boolean {
  const from = document.decision.review?.from;
  const entry = roster.entry(subject);
  if (from === undefined || entry?.active !== true || entry.kind !== "human" || isBehind(document, roster, subject))
    return false;
  if ("groups" in from) return from.groups.some((group) => entry.groups.includes(group));
  return "subjects" in from && from.subjects.includes(subject);
}

/** As the request says and as the roster says now. */
export function isBehind(document: Request, roster: RosterView, subject: SubjectId): boolean {
  return isConcerned(document, subject) || roster.entry(document.asked.requester.id)?.actsFor === subject;
}

function unseen(id: GrantId): CardeaError {
  return new CardeaError("not_found", `there is no grant \`${id}\`, or you may not see it`);
}
