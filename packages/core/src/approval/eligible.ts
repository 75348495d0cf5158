/** Who may vote on a request now, asked before a vote is taken and when people are to be told. Counting itself is the tally's alone. */
import type { ErrorCode } from "../contract/errors.ts";
import type { SubjectId } from "../contract/ids.ts";
import type { Time } from "../documents/primitives.ts";
import type { Request } from "../documents/request.ts";
import type { RosterEntry } from "../documents/roster.ts";
import type { Narrowing, Verdict } from "../documents/vote.ts";
import { ok, refused, type Result } from "../lib/result.ts";
import { canMeet, whyNever, type Entries } from "./standing.ts";
import type { Tally } from "./tally.ts";

export type VoteRefusal = Extract<
  ErrorCode,
  | "self_approval"
  | "not_an_approver"
  | "subject_inactive"
  | "already_voted"
  | "request_not_pending"
  | "request_expired"
  | "vote_signature_required"
>;

export interface MayVoteInput {
  readonly request: Request;
  readonly tally: Tally;
  readonly approver: SubjectId;
  readonly verdict: Verdict;
  readonly narrowing?: Narrowing;
  readonly entries: Entries;
  readonly now: Time;
}

/** Whether this subject may cast this vote now; the stage that the vote must name, or why not. */
export function mayVote({
  request,
  tally,
  approver,
  verdict,
  narrowing,
  entries,
  now,
}: MayVoteInput): Result<{ readonly stage: number }, VoteRefusal> {
  if (tally.state !== "pending") return refused("request_not_pending", "the request has been decided already");
  if (now >= request.decision.expiresAt)
    return refused("request_expired", `the request expired at ${request.decision.expiresAt}; it must be asked again`);
  const never = whyNever(request, approver, entries);
  if (never === "self")
    return refused("self_approval", "nobody votes on a request that they or their agent made; ask another approver");
  const entry = entries(approver);
  if (entry?.active === false) return refused("subject_inactive", "the subject is not active");
  if (never !== undefined || entry === undefined)
    return refused("not_an_approver", "only people vote; agents and workloads never count");
  const stage = request.decision.stages[tally.stage - 1] ?? [];
  if (!stage.some((requirement) => canMeet(requirement, entry, tally.openedAt, now))) {
    const signed = stage.some((requirement) => canMeet({ ...requirement, signed: "any" }, entry, tally.openedAt, now));
    if (signed) return refused("vote_signature_required", "the rule demands a signature that votes cannot carry yet");
    return refused("not_an_approver", `stage ${String(tally.stage)} does not ask for you`);
  }
  if (verdict === "approve" && tally.counted.includes(approver)) {
    return refused("already_voted", "your approval counted for an earlier stage, and each person counts once");
  }
  if (verdict === "approve" && narrowing === undefined && tally.voted.includes(approver)) {
    return refused("already_voted", "your approval is counted; vote again only to deny or to narrow");
  }
  return ok({ stage: tally.stage });
}

/** Those who could bring a pending request forward now by approving: whom to tell. Nobody whose approval counts already. */
export function possibleApprovers(
  request: Request,
  tally: Tally,
  roster: Iterable<RosterEntry>,
  entries: Entries,
  now: Time,
): RosterEntry[] {
  if (tally.state !== "pending") return [];
  return [...roster].filter(
    (entry) =>
      whyNever(request, entry.subject, entries) === undefined &&
      !tally.voted.includes(entry.subject) &&
      tally.missing.some(({ requirement }) => canMeet(requirement, entry, tally.openedAt, now)),
  );
}
