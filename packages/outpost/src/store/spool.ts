/**
 * What is still to be told: receipts and events, each kind in order, until each is acknowledged. Added inside the transaction of what it tells,
 * so nothing happens untold; told at least once, and known by its id at the other end. Receipts have a lane of their own: somebody waits for them.
 */
import { newId, type EventId } from "@cardea/core/contract/ids";
import type { AuditType } from "@cardea/core/contract/audit-types";
import type { LinkEvent, Receipt, TaskResult } from "@cardea/core/wire/link";
import type { TaskId } from "@cardea/core/contract/ids";
import { toPlainText, toTime } from "@cardea/core/documents/primitives";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import type { Store } from "./store.ts";

export type Spooled = Receipt | LinkEvent;

const lanes = { receipt: 0, event: 1 } as const;
export type Lane = keyof typeof lanes;

/** Where a message stands. */
export type Place = readonly [lane: number, place: number];

/** Acknowledged messages are forgotten after so long at most. */
const forgetMs = 200;

/** The most pressing of what was added; `urgent`: all of it at once. */
export type Added = "nothing" | "events" | "receipts" | "urgent";

export interface Failure {
  readonly code: string;
  readonly detail: string;
  readonly retryable: boolean;
}

export class Spool {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Counts up for as long as the process lives, also when the spool runs empty: a reader's place stays meaningful. */
  #last: number;
  readonly #acknowledged: Place[] = [];
  #timer: NodeJS.Timeout | undefined;
  #added: Added = "nothing";

  constructor(store: Store, clock: Clock, random: Random) {
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
    this.#last = Math.max(...Object.values(lanes).map((lane) => lastPlace(store, lane)));
  }

  /** Inside `Store.write`. */
  event(type: AuditType, ids: LinkEvent["ids"], data: LinkEvent["data"]): void {
    this.#add({ kind: "event", id: this.#newId(), at: toTime(this.#clock.now()), type, ids, data });
  }

  /** One that somebody waits for: it is told at once, with those before it. Inside `Store.write`. */
  urgentEvent(type: AuditType, ids: LinkEvent["ids"], data: LinkEvent["data"]): void {
    this.event(type, ids, data);
    this.#added = "urgent";
  }

  /** Inside `Store.write`. */
  receipt(task: TaskId, result: TaskResult): Receipt {
    const receipt: Receipt = { kind: "receipt", id: this.#newId(), task, outcome: { ok: true, result } };
    this.#add(receipt);
    return receipt;
  }

  /** Inside `Store.write`. */
  failure(task: TaskId, { code, detail, retryable }: Failure): void {
    this.#add({
      kind: "receipt",
      id: this.#newId(),
      task,
      outcome: { ok: false, code, detail: printable(detail), retryable },
    });
  }

  /** Gives a receipt again, under its first id. Inside `Store.write`. */
  again(receipt: Receipt): void {
    this.#add(receipt);
  }

  /** What was added since the last call, for whoever sends. */
  takeAdded(): Added {
    const added = this.#added;
    this.#added = "nothing";
    return added;
  }

  /** In order, from behind this place of the lane. */
  after(lane: Lane, place: number, limit: number): { readonly place: Place; readonly message: Spooled }[] {
    const range = { start: [lanes[lane], place + 1], end: [lanes[lane], Number.MAX_SAFE_INTEGER], limit };
    return [...this.#store.spool.getRange(range)].map(({ key, value }) => ({ place: key, message: value }));
  }

  /**
   * Forgets what was acknowledged: with the next message that is added, or a little later by itself. Not worth a flush of its own, as what is
   * told again after a crash does no harm.
   */
  acknowledge(places: readonly Place[]): void {
    if (places.length === 0) return;
    this.#acknowledged.push(...places);
    this.#timer ??= setTimeout(() => {
      this.settle().catch(() => undefined);
    }, forgetMs);
  }

  /** Forgets what was acknowledged, now. */
  async settle(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#acknowledged.length > 0) await this.#store.write(() => this.#forget());
  }

  #forget(): void {
    for (const [lane, place] of this.#acknowledged.splice(0)) this.#store.spool.removeSync([lane, place]);
  }

  #add(message: Spooled): void {
    this.#forget();
    this.#last++;
    this.#store.spool.putSync([lanes[message.kind], this.#last], message);
    if (this.#added === "urgent") return;
    if (message.kind === "receipt") this.#added = "receipts";
    else if (this.#added === "nothing") this.#added = "events";
  }

  #newId(): EventId {
    return newId("event", this.#clock, this.#random);
  }
}

function lastPlace(store: Store, lane: number): number {
  const [last] = [
    ...store.spool.getKeys({ start: [lane, Number.MAX_SAFE_INTEGER], end: [lane, 0], reverse: true, limit: 1 }),
  ];
  return last?.[1] ?? 0;
}

/** Words from a resource may hold anything; what the link carries is plain text of bounded length. */
function printable(text: string): string {
  return toPlainText(text.toWellFormed().replace(/[\p{Cc}\p{Cf}]/gu, " "), 2_000);
}
