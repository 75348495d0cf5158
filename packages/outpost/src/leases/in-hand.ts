import type { LeaseId } from "@cardea/core/contract/ids";

/**
 * Leases that something is being done about in this process. Making and ending one never overlap: whoever ends waits until whoever makes has
 * let go, and tells it to stop. What no process has in hand is anybody's to finish.
 */
export class InHand {
  readonly #held = new Map<LeaseId, AbortController>();

  has(lease: LeaseId): boolean {
    return this.#held.has(lease);
  }

  get size(): number {
    return this.#held.size;
  }

  /** The signal is aborted when the lease is wanted for ending. */
  take(lease: LeaseId): AbortSignal {
    if (this.#held.has(lease)) throw new TypeError(`lease \`${lease}\` is in hand already`);
    const controller = new AbortController();
    this.#held.set(lease, controller);
    return controller.signal;
  }

  release(lease: LeaseId): void {
    this.#held.delete(lease);
  }

  /** Asks whoever has it to stop. */
  interrupt(lease: LeaseId): void {
    this.#held.get(lease)?.abort();
  }
}
