import type { ApproversFrom } from "../documents/decision.ts";
import type { RosterEntry } from "../documents/roster.ts";

/** Whether a subject is one of those named: in any of the groups, or by id. An outside system has no entry in the roster. */
export function isAmong(from: ApproversFrom, entry: RosterEntry): boolean {
  if ("groups" in from) return from.groups.some((group) => entry.groups.includes(group));
  if ("subjects" in from) return from.subjects.includes(entry.subject);
  return false;
}
