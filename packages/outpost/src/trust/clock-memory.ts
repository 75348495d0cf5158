import type { Store } from "../store/store.ts";

const fact = "known-time";
/** A clock that was set back between two starts by less than this does no harm. */
const everyMs = 30_000;

/** The latest time that was ever sure, across restarts: a machine that starts with an older one has a wrong clock. */
export class ClockMemory {
  readonly #store: Store;
  #knownMs: number;

  constructor(store: Store) {
    this.#store = store;
    const found = store.facts.get(fact);
    this.#knownMs = typeof found === "number" ? found : 0;
  }

  read(): number {
    return this.#knownMs;
  }

  /** The control plane agrees that it is this late. Written now and then, in the background. */
  note(nowMs: number): void {
    if (nowMs < this.#knownMs + everyMs) return;
    this.#knownMs = nowMs;
    void this.#store.write(() => this.#store.facts.putSync(fact, nowMs)).catch(() => undefined);
  }
}
