/**
 * Receipts and events of an outpost, applied. Each takes effect once, in one transaction with everything that follows from it, and is
 * acknowledged only after that has committed: a crash anywhere makes the outpost say it again.
 */
import type { Enrolment } from "@cardea/core/wire/enrolment";
import type { AuditType } from "@cardea/core/contract/audit-types";
import { GrantId, type EventId } from "@cardea/core/contract/ids";
import { EndReason, type LinkEvent, type Receipt, type TaskResult } from "@cardea/core/wire/link";
import { timeMs, toTime } from "@cardea/core/documents/primitives";
import { never } from "@cardea/core/lib/never";
import type { Control, Tx } from "../control.ts";
import { record, recordAll } from "../audit/record.ts";
import { grantEnded, grantIssued, issueFailed, leaseEvent } from "../grants/outcomes.ts";
import { sessionEvent } from "../sessions/outcomes.ts";
import { actionHeld, actionWithdrawn } from "../requests/hold.ts";
import { ran, runResolved, runStarted } from "../runs/outcomes.ts";
import { policyInForce } from "../policy/current.ts";
import type { StoredPolicy } from "../store/policies.ts";
import { closeTasks, maybeOneTask, noteInbox, noteTaskResult, postponeTask } from "../store/tasks.ts";
import { manyGrantsOf } from "../store/outposts.ts";
import { transact } from "../store/transaction.ts";
import { takeRemoval } from "./removal.ts";
import { takeReport } from "./report.ts";

export type Message = Receipt | LinkEvent;

/** How long an issue that fails for a reason that may pass is tried again. */
const retryIssueMs = 30_000;
const firstRetryMs = 100;
const maxRetryMs = 5_000;

/** The types that an outpost tells of. Any other is refused: it must not be able to write an approval into the log. */
const outpostTypes: ReadonlySet<AuditType> = new Set<AuditType>([
  "lease.intended",
  "lease.live",
  "lease.ending",
  "lease.gone",
  "lease.stuck",
  "lease.misused",
  "session.opened",
  "session.closed",
  "action.held",
  "action.withdrawn",
  "run.started",
  "run.resolved",
  "grant.ended",
  "resource.stranger",
  "security.refused",
]);

/**
 * Applies messages in their order and answers with the ids to acknowledge. All in one transaction, so that a burst costs one commit; where
 * that fails, one by one, so that a message that cannot be applied holds up nobody else's. That one stays unacknowledged and is logged.
 */
export async function applyMessages(
  control: Control,
  outpost: Enrolment,
  messages: readonly Message[],
): Promise<EventId[]> {
  try {
    // Read before, since a transaction that waits for a second connection of the pool could wait for itself.
    const policy = messages.some(isHeld) ? await policyInForce(control) : undefined;
    await transact(control, (tx) => apply(tx, control, outpost, policy, messages));
    return messages.map((message) => message.id);
  } catch (error) {
    if (messages.length === 1) {
      control.log.error(
        { err: error, outpost: outpost.id, message: messages[0]?.id },
        "a message of an outpost could not be applied",
      );
      return [];
    }
    const applied: EventId[] = [];
    for (const message of messages) applied.push(...(await applyMessages(control, outpost, [message])));
    return applied;
  }
}

function isHeld(message: Message): boolean {
  return message.kind === "event" && message.type === "action.held";
}

/** `policy`: in force, where a message needs it. */
async function apply(
  tx: Tx,
  control: Control,
  outpost: Enrolment,
  policy: StoredPolicy | undefined,
  messages: readonly Message[],
): Promise<void> {
  const fresh = await noteInbox(
    tx,
    outpost.id,
    messages.map((message) => message.id),
    toTime(control.clock.now()),
  );
  const notes: LinkEvent[] = [];
  for (const message of messages) {
    if (!fresh.has(message.id)) continue;
    if (message.kind === "receipt") await applyReceipt(tx, control, outpost, message);
    else if (isNote(message)) notes.push(message);
    else await applyEvent(tx, control, outpost, policy, message);
  }
  await noteEvents(tx, control, outpost, notes);
}

/** Events that change nothing here: the receipt says that a key exists, and what ends moves a lease on from wherever it was. Logged together. */
const notedOnly: ReadonlySet<AuditType> = new Set<AuditType>([
  "lease.intended",
  "lease.live",
  "resource.stranger",
  "security.refused",
]);

/** Of a session's lease no receipt tells. */
function isNote({ type, ids }: LinkEvent): boolean {
  return notedOnly.has(type) && !(type === "lease.live" && ids["session"] !== undefined);
}

async function noteEvents(tx: Tx, control: Control, outpost: Enrolment, events: readonly LinkEvent[]): Promise<void> {
  if (events.length === 0) return;
  const about = (event: LinkEvent): GrantId | undefined => GrantId.safeParse(event.ids["grant"]).data;
  const own = await manyGrantsOf(
    tx,
    outpost.id,
    events.map(about).filter((grant) => grant !== undefined),
  );
  const heard = events.filter((event) => {
    const grant = about(event);
    return grant === undefined ? event.ids["grant"] === undefined : own.has(grant);
  });
  if (heard.length < events.length)
    control.log.warn(
      { outpost: outpost.id, count: events.length - heard.length },
      "an outpost told of grants that are not its own",
    );
  await recordAll(
    tx,
    control,
    heard.map((event) => ({
      type: event.type,
      ids: { ...event.ids, outpost: outpost.id },
      data: event.data,
      at: event.at,
      eventId: event.id,
    })),
  );
}

const awaited: ReadonlySet<TaskResult["type"]> = new Set(["checked", "configured", "previewed"]);

async function applyReceipt(tx: Tx, control: Control, outpost: Enrolment, { task, outcome }: Receipt): Promise<void> {
  const at = toTime(control.clock.now());
  if (outcome.ok) {
    if (outcome.result.type === "previewed") await noteTaskResult(tx, task, outpost.id, outcome.result);
    await applyResult(tx, control, outpost, outcome.result);
    await closeTasks(tx, { id: task, outpost: outpost.id }, { state: "done", at });
    // Who asked for a look or a configuration waits for the task; who asked for a key waits for the grant.
    if (awaited.has(outcome.result.type)) control.wake.signal("tasks", tx);
    return;
  }
  await applyFailure(tx, control, outpost, task, outcome);
  control.wake.signal("tasks", tx);
}

async function applyResult(tx: Tx, control: Control, outpost: Enrolment, result: TaskResult): Promise<void> {
  switch (result.type) {
    case "issued":
      await grantIssued(tx, control, outpost.id, result);
      return;
    case "ended":
      await grantEnded(tx, control, outpost.id, result);
      return;
    case "ran":
      await ran(tx, control, outpost, result);
      return;
    case "closed":
    case "noted":
    case "previewed":
      return;
    case "checked":
    case "configured":
      await takeReport(tx, control, outpost, result.report);
      return;
    case "removed":
      await takeRemoval(tx, control, outpost, result.resource);
      return;
    default:
      never(result);
  }
}

type Failure = Extract<Receipt["outcome"], { ok: false }>;

async function applyFailure(
  tx: Tx,
  control: Control,
  outpost: Enrolment,
  task: Receipt["task"],
  { code, detail, retryable }: Failure,
): Promise<void> {
  const stored = await maybeOneTask(tx, task);
  if (stored?.state !== "open") return;
  const now = control.clock.now();
  const begins = stored.task.type === "issue" || stored.task.type === "run" ? stored.task : undefined;
  if (
    retryable &&
    stored.task.type !== "preview" &&
    (begins === undefined || now < timeMs(stored.createdAt) + retryIssueMs)
  ) {
    const delayMs = Math.min(maxRetryMs, firstRetryMs * 2 ** Math.min(stored.attempts, 10));
    await postponeTask(tx, task, toTime(now + delayMs));
    if (begins !== undefined)
      await issueFailed(tx, control, outpost.id, { grant: begins.grant, code, detail, retryable });
    return;
  }
  await closeTasks(tx, { id: task, outpost: outpost.id }, { state: "failed", at: toTime(now), code, detail });
  if (begins !== undefined)
    await issueFailed(tx, control, outpost.id, { grant: begins.grant, code, detail, retryable: false });
  else if (stored.task.type !== "preview")
    control.log.warn({ outpost: outpost.id, task, code }, `a task failed: ${detail}`);
}

async function applyEvent(
  tx: Tx,
  control: Control,
  outpost: Enrolment,
  policy: StoredPolicy | undefined,
  told: LinkEvent,
): Promise<void> {
  const event: LinkEvent = { ...told, ids: { ...told.ids, outpost: outpost.id } };
  if (!outpostTypes.has(event.type)) {
    await record(tx, control, {
      type: "security.refused",
      ids: { outpost: outpost.id },
      data: { what: "event of an outpost", type: event.type },
      eventId: event.id,
    });
    return;
  }
  switch (event.type) {
    case "session.opened":
    case "session.closed":
      await sessionEvent(tx, control, outpost.id, event.type, event);
      return;
    case "action.held":
      await actionHeld(tx, control, outpost, policy, event);
      return;
    case "action.withdrawn":
      await actionWithdrawn(tx, control, outpost, event);
      return;
    case "run.started":
      await runStarted(tx, control, outpost, event);
      return;
    case "run.resolved":
      await runResolved(tx, control, outpost, event);
      return;
    default:
      // The end of a grant is logged where it is applied, in the control plane's own words.
      if (event.type !== "grant.ended") await leaseEvent(tx, control, outpost.id, event);
      await endedByItself(tx, control, outpost, event);
  }
}

/**
 * An outpost ends grants by itself too, without a task: by its own clock, and where a key is spent. Of a direct key the end of its lease says so
 * (`over`: nothing of the grant is left then); a gateway's key has no lease of its own, so it is said in so many words.
 */
async function endedByItself(tx: Tx, control: Control, outpost: Enrolment, event: LinkEvent): Promise<void> {
  const withLease = event.type === "lease.gone" && event.data["over"] === true && event.ids["session"] === undefined;
  if (!withLease && event.type !== "grant.ended") return;
  const grant = GrantId.safeParse(event.ids["grant"]);
  const why = EndReason.safeParse(event.data["why"]);
  if (grant.success && why.success)
    await grantEnded(tx, control, outpost.id, { type: "ended", grant: grant.data, why: why.data, at: event.at });
}
