/**
 * The sessions of this process, from the moment that one takes a place until its client is gone. Kept in memory only: with the process every
 * connection ends, and what a session left at the resource is found in the store.
 */
import type { SessionEnd } from "@cardea/connectors/gateway";
import type { GrantId, ResourceId, SessionId } from "@cardea/core/contract/ids";

export interface Place {
  readonly id: SessionId;
  readonly grant: GrantId;
  readonly resource: ResourceId;
  /** Aborted with a `SessionEnd`. */
  readonly closed: AbortSignal;
}

interface Held extends Place {
  readonly closing: AbortController;
  readonly gone: Promise<void>;
  readonly leave: () => void;
}

export class Sessions {
  readonly #held = new Map<SessionId, Held>();
  readonly #counts = new Map<GrantId | ResourceId, number>();

  get size(): number {
    return this.#held.size;
  }

  /** Sessions of a grant, or at a resource, that are open or being opened. */
  count(of: GrantId | ResourceId): number {
    return this.#counts.get(of) ?? 0;
  }

  /** Takes a place, before anything is awaited: of two that come at once for the last one, one is told so. */
  take(grant: GrantId, resource: ResourceId, id: SessionId): Place {
    const closing = new AbortController();
    let leave = (): void => undefined;
    const gone = new Promise<void>((resolve) => (leave = resolve));
    const held: Held = { id, grant, resource, closing, closed: closing.signal, gone, leave };
    this.#held.set(id, held);
    for (const of of [grant, resource]) this.#counts.set(of, this.count(of) + 1);
    return held;
  }

  /** The client is gone, or never came in. */
  leave(id: SessionId): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    for (const of of [held.grant, held.resource]) {
      const left = this.count(of) - 1;
      if (left === 0) this.#counts.delete(of);
      else this.#counts.set(of, left);
    }
    held.leave();
  }

  /** Asks for the end of a session. The first reason stands: an aborted controller does not change its mind. */
  end(id: SessionId, end: SessionEnd): void {
    this.#held.get(id)?.closing.abort(end);
  }

  /** Asks for the end of a session, and waits for it so long at most. */
  async close(id: SessionId, end: SessionEnd, withinMs: number): Promise<void> {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.end(id, end);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, withinMs);
    });
    await Promise.race([held.gone, late]);
    clearTimeout(timer);
  }

  /** Asks for the end of all sessions of a grant, at once. */
  closeAll(grant: GrantId, end: SessionEnd): void {
    for (const held of this.#held.values()) if (held.grant === grant) held.closing.abort(end);
  }

  /** Resolves once the client is gone. */
  async gone(id: SessionId): Promise<void> {
    await this.#held.get(id)?.gone;
  }

  has(id: SessionId): boolean {
    return this.#held.has(id);
  }
}
