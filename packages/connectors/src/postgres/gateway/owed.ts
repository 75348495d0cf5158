/**
 * What the resource still owes an answer to, in the order in which it was sent. The protocol answers strictly in order, so the front of
 * this queue says what an answer belongs to; an error inside an extended pipeline cancels everything up to the next Sync, here as there.
 */
import type { Words } from "./messages.ts";
import type { Portal, Statement } from "./statement.ts";

export type OwedKind =
  /** A simple query: any number of results, ended by ReadyForQuery. */
  | "query"
  | "parse"
  | "bind"
  | "describe"
  | "execute"
  | "closeStatement"
  | "closePortal"
  /** A message in the place of one that was refused: answered with an error. */
  | "refusal"
  /** The end of COPY data, should a COPY have begun by then. Answered by nothing. */
  | "copyEnd"
  | "sync"
  /** A query of our own. */
  | "inner";

/** One shape for all kinds, because the queue is walked for every message. */
export interface Owed {
  readonly kind: OwedKind;
  /** Of the prepared statement or portal. */
  readonly name: string;
  /** What the name of a prepared statement stands for when this is done. */
  readonly statement: Statement | undefined;
  /** What the name of a portal stands for when this is done. */
  readonly portal: Portal | undefined;
  /** The action's number in the recording, or 0. */
  readonly action: number;
  /** What the client is told instead of the answer. */
  readonly words: Words | undefined;
}

export function owed(kind: OwedKind, more?: Partial<Owed>): Owed {
  return {
    kind,
    name: more?.name ?? "",
    statement: more?.statement,
    portal: more?.portal,
    action: more?.action ?? 0,
    words: more?.words,
  };
}

/** As many places are kept by a queue that is empty. */
const keptPlaces = 64;
/** So many places before the first are given up. */
const emptyPlaces = 1_024;

export class OwedQueue {
  /** Filled from `#head` to `#tail`. An array that is cut short is slow, so that its places are used again instead. */
  #items: (Owed | undefined)[] = [];
  #head = 0;
  #tail = 0;

  get size(): number {
    return this.#tail - this.#head;
  }

  get front(): Owed | undefined {
    return this.#items[this.#head];
  }

  push(item: Owed): void {
    this.#items[this.#tail++] = item;
  }

  shift(): Owed | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#tail) {
      if (this.#items.length > keptPlaces) this.#items = [];
      this.#head = 0;
      this.#tail = 0;
    } else if (this.#head > emptyPlaces) {
      this.#place(this.#waiting());
    }
    return item;
  }

  /** Removes everything before the next Sync; `undefined` for `synced` means that the client has not sent it yet. */
  cancelToSync(): { readonly cancelled: readonly Owed[]; readonly synced: boolean } {
    const cancelled: Owed[] = [];
    for (let item = this.front; item !== undefined; item = this.front) {
      if (item.kind === "sync") return { cancelled, synced: true };
      cancelled.push(item);
      this.shift();
    }
    return { cancelled, synced: false };
  }

  /**
   * The message at the front has begun to take COPY data: the server then ignores every Sync before the end of the data. Answers whether
   * that end has been sent already.
   */
  beginCopy(): boolean {
    const items = this.#waiting();
    const endsAt = items.findIndex(({ kind }, index) => index > 0 && kind === "copyEnd");
    const during = endsAt < 0 ? items.slice(1) : items.slice(1, endsAt);
    const after = endsAt < 0 ? [] : items.slice(endsAt + 1);
    this.#place([...items.slice(0, 1), ...during.filter(({ kind }) => kind !== "sync"), ...after]);
    return endsAt >= 0;
  }

  #waiting(): Owed[] {
    return this.#items.slice(this.#head, this.#tail).filter((item) => item !== undefined);
  }

  #place(items: Owed[]): void {
    this.#items = items;
    this.#head = 0;
    this.#tail = items.length;
  }
}
