/**
 * Who counts as an approver at all, and of what. Called by the tally and by everything that asks in advance who may vote. Standing is read
 * from the roster as it is given: what a vote's author may do now, not what they could when they voted.
 */
import type { SubjectId } from "../contract/ids.ts";
import type { Requirement } from "../documents/decision.ts";
import { timeMs, toTime, type Time } from "../documents/primitives.ts";
import type { Request } from "../documents/request.ts";
import type { RosterEntry } from "../documents/roster.ts";
import { durationMs } from "../lib/duration.ts";
import { isAmong } from "../policy/membership.ts";

/** The roster, by subject. */
export type Entries = (subject: SubjectId) => RosterEntry | undefined;

/**
 * Why this subject never counts for this request, whatever its groups: `self` for the requester and for whom the requester acts, as the
 * request says and as the roster says now; `standing` for the inactive and for everyone who is not a human.
 */
export function whyNever(request: Request, subject: SubjectId, entries: Entries): "self" | "standing" | undefined {
  const { requester } = request.asked;
  if (subject === requester.id || subject === requester.onBehalfOf || subject === entries(requester.id)?.actsFor)
    return "self";
  const entry = entries(subject);
  return entry === undefined || entry.subject !== subject || !entry.active || entry.kind !== "human"
    ? "standing"
    : undefined;
}

/** When the requirement opens to those it escalates to. */
export function escalatesAt(requirement: Requirement, stageOpenedAt: Time): Time | undefined {
  return requirement.escalate && toTime(timeMs(stageOpenedAt) + durationMs(requirement.escalate.after));
}

/**
 * Whether the subject is one of those a requirement asks for, in a stage opened then, at that instant. A requirement for signatures of a kind
 * is met by nobody: votes do not carry them yet, and counting them as if they did would fail open.
 */
export function canMeet(requirement: Requirement, entry: RosterEntry, stageOpenedAt: Time, at: Time): boolean {
  if (requirement.signed !== "any") return false;
  if (isAmong(requirement.from, entry)) return true;
  const opens = escalatesAt(requirement, stageOpenedAt);
  return (
    requirement.escalate !== undefined &&
    opens !== undefined &&
    at >= opens &&
    isAmong(requirement.escalate.from, entry)
  );
}
