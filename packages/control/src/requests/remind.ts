import type { RequestId } from "@cardea/core/contract/ids";
import { canMeet, whyNever, type Entries } from "@cardea/core/approval/standing";
import { tally, type Pending } from "@cardea/core/approval/tally";
import { shortCode } from "@cardea/core/documents/digest";
import { timeMs, toTime, type Time } from "@cardea/core/documents/primitives";
import { durationMs } from "@cardea/core/lib/duration";
import { record } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import { notify } from "../notify/notify.ts";
import { rosterIn, type RosterView } from "../people/roster.ts";
import { manyVotes, maybeOneRequestLocked, setReminders, type StoredRequest } from "../store/requests.ts";
import { transact } from "../store/transaction.ts";
import { tellApprovers, whatIsAsked } from "./tell.ts";
import { requestIds } from "./view.ts";

/** Reminds those who are waited for, once for each time that it falls due; a process that slept sends one reminder, not all it missed. */
export async function remindOf(control: Control, id: RequestId): Promise<void> {
  await onPending(control, id, async (tx, request, counted, roster) => {
    const { decision } = request.signed.document;
    if (
      request.remindAt === undefined ||
      request.remindAt > toTime(control.clock.now()) ||
      decision.remindAfter === undefined
    )
      return;
    const next = toTime(control.clock.now() + durationMs(decision.remindAfter));
    await setReminders(tx, id, { remind_at: next < decision.expiresAt ? next : null });
    await tellApprovers(tx, control, roster, request.signed, counted, "request.reminder");
  });
}

/** Tells the further approvers to whom a requirement has opened by its time; nobody is ever left out by it. */
export async function escalate(control: Control, id: RequestId): Promise<void> {
  await onPending(control, id, async (tx, request, counted, roster) => {
    const now = toTime(control.clock.now());
    if (request.escalateAt === undefined || request.escalateAt > now) return;
    const later = counted.missing
      .flatMap(({ escalatesAt }) => (escalatesAt !== undefined && escalatesAt > now ? escalatesAt : []))
      .sort();
    await setReminders(tx, id, { escalate_at: later[0] ?? null });
    const opened = counted.missing
      .filter(({ escalatesAt }) => escalatesAt !== undefined && escalatesAt <= now)
      .map(({ requirement }) => requirement);
    if (opened.length === 0) return;
    const { document, digest } = request.signed;
    await record(tx, control, {
      type: "request.escalated",
      ids: requestIds(document),
      data: { request: digest, requirements: opened.map((requirement) => requirement.id) },
    });
    const entries: Entries = (subject) => roster.entry(subject);
    const further = roster
      .entries()
      .filter(
        (entry) =>
          whyNever(document, entry.subject, entries) === undefined &&
          !counted.voted.includes(entry.subject) &&
          opened.some(
            (requirement) =>
              canMeet(requirement, entry, counted.openedAt, now) &&
              !canMeet(requirement, entry, counted.openedAt, counted.openedAt),
          ),
      );
    if (further.length === 0) return;
    await notify(tx, control, {
      type: "request.escalated",
      to: further.map((entry) => entry.subject),
      request: id,
      code: shortCode(digest),
      words: `${whatIsAsked(roster, document)} and has waited since ${counted.openedAt}; you may approve it now`,
      command: `cardea approve ${id}`,
    });
    control.wake.signal("requests", tx);
  });
}

async function onPending(
  control: Control,
  id: RequestId,
  act: (tx: Tx, request: StoredRequest, counted: Pending, roster: RosterView) => Promise<void>,
): Promise<void> {
  await transact(control, async (tx) => {
    const request = await maybeOneRequestLocked(tx, control.keys, id);
    if (request?.state !== "pending") return;
    const roster = await rosterIn(tx, control);
    const votes = await manyVotes(tx, control.keys, id);
    const counted = tally({
      request: request.signed.document,
      votes: votes.map((vote) => vote.document),
      entries: (subject) => roster.entry(subject),
      now: latest(
        control,
        votes.map((vote) => vote.document.at),
      ),
    });
    if (counted.state === "pending") await act(tx, request, counted, roster);
  });
}

/** Now, or the last vote where the clock was set back since. */
function latest(control: Control, times: readonly Time[]): Time {
  return toTime(Math.max(control.clock.now(), ...times.map(timeMs)));
}
