/** Requests as the API shows them, and who may see them. Made from verified documents; it changes nothing. */
import type { z } from "zod";
import type { RequestView, StageView, VoteView } from "@cardea/core/wire/api/requests";
import type { SubjectId } from "@cardea/core/contract/ids";
import { mayVote } from "@cardea/core/approval/eligible";
import { canMeet, whyNever, type Entries } from "@cardea/core/approval/standing";
import { tally, type Pending, type Tally } from "@cardea/core/approval/tally";
import type { Requirement } from "@cardea/core/documents/decision";
import { shortCode } from "@cardea/core/documents/digest";
import { toTime, type Time } from "@cardea/core/documents/primitives";
import type { Request } from "@cardea/core/documents/request";
import type { Vote } from "@cardea/core/documents/vote";
import { describeDecision, describeRequirement } from "@cardea/core/policy/describe";
import type { Actor } from "../control.ts";
import { grantView } from "../grants/view.ts";
import type { RosterView } from "../people/roster.ts";
import type { StoredGrant } from "../store/grants.ts";
import { runView } from "../runs/view.ts";
import type { StoredRequest } from "../store/requests.ts";
import type { StoredRun } from "../store/runs.ts";
import type { Signed } from "../store/signed.ts";
import { concerned } from "./tell.ts";
import { subjectRef } from "./subject-ref.ts";

/** Candidates named for each requirement. */
const maxCandidates = 20;

export interface RequestViewInput {
  readonly roster: RosterView;
  /** Who looks. */
  readonly actor: SubjectId;
  readonly request: StoredRequest;
  readonly votes: readonly Signed<Vote>[];
  readonly grant: StoredGrant | undefined;
  /** Of an approved action. */
  readonly run?: StoredRun | undefined;
  readonly nowMs: number;
}

export function requestView({ roster, actor, request, votes, grant, run, nowMs }: RequestViewInput): RequestView {
  const { document, digest } = request.signed;
  const now = toTime(nowMs);
  const entries: Entries = (id) => roster.entry(id);
  const counted = tally({ request: document, votes: votes.map((vote) => vote.document), entries, now });
  const voting = mayVoteNow(request, counted, actor, entries, now);
  return {
    id: document.id,
    state: request.state,
    ...(request.why !== undefined && { why: request.why }),
    requester: subjectRef(roster, document.asked.requester.id),
    digest,
    code: shortCode(digest),
    document,
    words: describeDecision(document.decision),
    stages: stageViews(
      document,
      request.state === "pending" ? counted : undefined,
      request.state === "approved",
      roster,
      now,
    ),
    votes: voteViews(votes, request, counted, grant, roster),
    ...(grant !== undefined && { grant: grantView(roster, grant) }),
    ...(run !== undefined && { run: runView(roster, run) }),
    mayVote: voting === undefined,
    ...(voting !== undefined && { mayVoteWhy: voting }),
    ...(request.decidedAt !== undefined && { decidedAt: request.decidedAt }),
  };
}

/** Whether this person may see the request: who made it, who oversees, who has voted on it, and who is asked by it, also once it is over. */
export function maySee(
  actor: Actor,
  roster: RosterView,
  request: StoredRequest,
  votes: readonly Signed<Vote>[],
): boolean {
  const { document } = request.signed;
  if (actor.permissions.includes("auditor") || actor.permissions.includes("admin")) return true;
  if (concerned(document).includes(actor.subject)) return true;
  if (votes.some((vote) => vote.document.approver === actor.subject)) return true;
  return isEverAsked(document, actor.subject, (id) => roster.entry(id));
}

/** Whether any stage, escalations included, asks for this person: approvers of later stages may look at what is coming. */
function isEverAsked(document: Request, subject: SubjectId, entries: Entries): boolean {
  const entry = entries(subject);
  if (entry === undefined || whyNever(document, subject, entries) !== undefined) return false;
  const { stages, expiresAt } = document.decision;
  // At the instant of its expiry every escalation of a stage opened at filing is open.
  return stages.flat().some((requirement) => canMeet(requirement, entry, document.createdAt, expiresAt));
}

/** Ids of a request for the log. */
export function requestIds({ id, asked, resource }: Request): Record<string, string> {
  const { requester } = asked;
  return {
    request: id,
    requester: requester.id,
    ...(requester.onBehalfOf !== undefined && { onBehalfOf: requester.onBehalfOf }),
    resource: resource.id,
    outpost: resource.outpost,
  };
}

function mayVoteNow(
  request: StoredRequest,
  counted: Tally,
  approver: SubjectId,
  entries: Entries,
  now: Time,
): string | undefined {
  if (request.state !== "pending") return `the request is ${request.state}`;
  const answer = mayVote({
    request: request.signed.document,
    tally: counted,
    approver,
    verdict: "approve",
    entries,
    now,
  });
  return answer.ok ? undefined : answer.detail;
}

function stageViews(
  document: Request,
  counted: Tally | undefined,
  met: boolean,
  roster: RosterView,
  now: Time,
): StageView[] {
  const open = counted?.state === "pending" ? counted : undefined;
  return document.decision.stages.map((requirements, index) => {
    const stage = index + 1;
    const state = met || (open !== undefined && stage < open.stage) ? "met" : stage === open?.stage ? "open" : "later";
    return {
      stage,
      state,
      requirements: requirements.map((requirement) => ({
        id: requirement.id,
        count: requirement.count,
        missing: state === "met" ? 0 : missingOf(requirement, state === "open" ? open : undefined),
        words: describeRequirement(requirement),
        candidates:
          state === "met" || counted === undefined ? [] : candidatesOf(document, requirement, open, roster, now),
      })),
    };
  });
}

function missingOf(requirement: Requirement, open: Pending | undefined): number {
  if (open === undefined) return requirement.count;
  return open.missing.find((missing) => missing.requirement.id === requirement.id)?.remaining ?? 0;
}

function candidatesOf(
  document: Request,
  requirement: Requirement,
  open: Pending | undefined,
  roster: RosterView,
  now: Time,
): z.infer<typeof StageView>["requirements"][number]["candidates"] {
  const entries: Entries = (id) => roster.entry(id);
  return roster
    .entries()
    .filter((entry) => !(open?.voted.includes(entry.subject) ?? false))
    .filter(
      (entry) =>
        whyNever(document, entry.subject, entries) === undefined &&
        canMeet(requirement, entry, open?.openedAt ?? now, now),
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .slice(0, maxCandidates)
    .map((entry) => subjectRef(roster, entry.subject));
}

function voteViews(
  votes: readonly Signed<Vote>[],
  request: StoredRequest,
  counted: Tally,
  grant: StoredGrant | undefined,
  roster: RosterView,
): z.infer<typeof VoteView>[] {
  return votes.map((vote, index) => {
    const replaced = votes.slice(index + 1).some((other) => other.document.approver === vote.document.approver);
    return {
      approver: subjectRef(roster, vote.document.approver),
      vote: vote.document,
      counts:
        grant === undefined
          ? !replaced && countsFor(request, counted, vote.document)
          : grant.signed.document.votes.includes(vote.digest),
    };
  });
}

function countsFor({ state }: StoredRequest, counted: Tally, { approver, verdict }: Vote): boolean {
  if (state === "denied") return verdict === "deny";
  return counted.state === "pending" && counted.voted.includes(approver);
}
