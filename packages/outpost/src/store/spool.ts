/**
 * What is still to be told: receipts and events, in order, until each is acknowledged. Added inside the transaction of what it tells, so
 * nothing happens untold; told at least once, and known by its id at the other end.
 */
import { newId, type EventId } from "@cardea/core/contract/ids";
import type { AuditType } from "@cardea/core/contract/audit-types";
import type { LinkEvent, Receipt, TaskResult } from "@cardea/core/wire/link";
import type { TaskId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import type { Store } from "./store.ts";

export type Spooled = Receipt | LinkEvent;

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
  #added: "nothing" | "events" | "receipts" = "nothing";

  constructor(store: Store, clock: Clock, random: Random) {
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
    const [last] = [...store.spool.getKeys({ reverse: true, limit: 1 })];
    this.#last = last ?? 0;
  }

  /** Inside `Store.write`. */
  event(type: AuditType, ids: LinkEvent["ids"], data: LinkEvent["data"]): void {
    this.#add({ kind: "event", id: this.#newId(), at: toTime(this.#clock.now()), type, ids, data });
  }

  /** Inside `Store.write`. */
  receipt(task: TaskId, result: TaskResult): Receipt {
    const receipt: Receipt = { kind: "receipt", id: this.#newId(), task, outcome: { ok: true, result } };
    this.#add(receipt);
    return receipt;
  }

  /** Inside `Store.write`. */
  failure(task: TaskId, { code, detail, retryable }: Failure): void {
    this.#add({ kind: "receipt", id: this.#newId(), task, outcome: { ok: false, code, detail: printable(detail), retryable } });
  }

  /** Gives a receipt again, under its first id. Inside `Store.write`. */
  again(receipt: Receipt): void {
    this.#add(receipt);
  }

  /** What was added since the last call, for whoever sends. */
  takeAdded(): "nothing" | "events" | "receipts" {
    const added = this.#added;
    this.#added = "nothing";
    return added;
  }

  /** In order, from behind this place. */
  after(place: number, limit: number): { readonly place: number; readonly message: Spooled }[] {
    return [...this.#store.spool.getRange({ start: place + 1, limit })].map(({ key, value }) => ({ place: key, message: value }));
  }

  /** Forgets what was acknowledged. */
  async acknowledge(places: readonly number[]): Promise<void> {
    if (places.length === 0) return;
    await this.#store.write(() => places.forEach((place) => this.#store.spool.removeSync(place)));
  }

  #add(message: Spooled): void {
    this.#last++;
    this.#store.spool.putSync(this.#last, message);
    if (message.kind === "receipt") this.#added = "receipts";
    else if (this.#added === "nothing") this.#added = "events";
  }

  #newId(): EventId {
    return newId("event", this.#clock, this.#random);
  }
}

/** Words from a resource may hold anything; what the link carries is plain text of bounded length. */
function printable(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}]/gu, " ")
    .slice(0, 2_000);
}
