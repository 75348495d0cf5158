/**
 * The audit log of the control plane. Use cases `record` what happened in the transaction that makes it happen; `sequencer.ts` gives
 * each event its place in the log, signs the head and publishes it; the other files read it. Nothing here decides anything.
 */
import type { AuditType } from "@cardea/core/contract/audit-types";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId, type EventId, type SubjectId } from "@cardea/core/contract/ids";
import { canonicalJson, type Json } from "@cardea/core/documents/canonical";
import { toTime, type Time } from "@cardea/core/documents/primitives";
import { hmacSha256, timingSafeEqual } from "@cardea/core/lib/crypto";
import type { Control, ControlKeys, Tx } from "../control.ts";
import { insertPending, type PendingEvent } from "../store/log.ts";
import { beforeCommit } from "../store/transaction.ts";

/** Something that happened. */
export interface AuditEvent {
  readonly type: AuditType;
  /** What it is about, keyed by words (`request`, `grant`, `lease` …). Public for ever: ids and resources' names, never personal data. */
  readonly ids: Readonly<Record<string, string>>;
  /** Everything else; kept beside the log, where it can be erased. */
  readonly data: Readonly<Record<string, Json | undefined>>;
  /** Who did it, where that is a subject. */
  readonly actor?: SubjectId | undefined;
  /** When it happened. Default: now. */
  readonly at?: Time | undefined;
  /** Of an event reported by an outpost, so that a second report of it is passed over. Default: a new one. */
  readonly eventId?: EventId | undefined;
}

const maxEventLength = 256 * 1024;
/** A leaf must fit into the 65,535 bytes of a bundle's entry, or the log would stop at it. */
const maxIdsLength = 8 * 1024;

/** Events of a transaction that are not written yet. */
const gathered = new WeakMap<Tx, PendingEvent[]>();

/**
 * Queues an event for the log: it is logged if and only if the caller's transaction commits, in the order of the calls. All events of a
 * transaction are written by one statement, at its end.
 * @throws CardeaError `too_large` for an event beyond 256 KiB, or with ids beyond 8 KiB; TypeError outside of `transact`
 */
export function record(tx: Tx, control: Control, event: AuditEvent): Promise<void> {
  return recordAll(tx, control, [event]);
}

/** Queues several events, in this order. */
export function recordAll(tx: Tx, control: Control, events: readonly AuditEvent[]): Promise<void> {
  const pending = events.map((event) => pendingEvent(control, event));
  const before = gathered.get(tx);
  if (before === undefined) {
    gathered.set(tx, pending);
    beforeCommit(tx, () => insertPending(tx, pending));
    control.wake.signal("audit-soon", tx);
  } else {
    before.push(...pending);
  }
  // A key waits for the log to cover its grant, and nobody waits for anything else to be in it.
  if (events.some(({ type }) => type === "grant.created")) control.wake.signal("audit", tx);
  return Promise.resolve();
}

/** What the queue holds of an event. */
export interface QueuedFields {
  readonly at: Time;
  readonly type: AuditType;
  readonly ids: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, Json | undefined>>;
}

function pendingEvent(control: Control, { type, ids, data, actor, at, eventId }: AuditEvent): PendingEvent {
  const id = eventId ?? newId("event", control.clock, control.random);
  const fields: QueuedFields = {
    at: at ?? toTime(control.clock.now()),
    type,
    ids: { ...ids, ...(actor !== undefined && { actor }), event: id },
    data,
  };
  const event = canonicalJson(fields);
  if (canonicalJson(fields.ids).length > maxIdsLength)
    throw new CardeaError("too_large", `a \`${type}\` event names more than ${maxIdsLength} characters of ids`);
  if (event.length > maxEventLength)
    throw new CardeaError("too_large", `a \`${type}\` event exceeds ${maxEventLength} characters`);
  return { eventId: id, event, mac: queueMac(control.keys, id, event) };
}

/** Whether Cardea itself queued this row: who holds the database alone cannot put words into the log. */
export function isQueuedByUs(keys: ControlKeys, { eventId, event, mac }: PendingEvent): boolean {
  return timingSafeEqual(queueMac(keys, eventId, event), mac);
}

const encoder = new TextEncoder();
const queueKeys = new WeakMap<ControlKeys, Uint8Array>();

function queueMac(keys: ControlKeys, eventId: EventId, event: string): Uint8Array {
  let key = queueKeys.get(keys);
  if (key === undefined) {
    key = hmacSha256(keys.installation, encoder.encode("cardea/audit-queue/v1"));
    queueKeys.set(keys, key);
  }
  // An id has no newline, so no other pair of id and event gives the same bytes.
  return hmacSha256(key, encoder.encode(`${eventId}\n${event}`));
}
