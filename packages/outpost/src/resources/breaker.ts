/**
 * Stops asking a resource that cannot be reached. While it is open issuing is refused at once; after a pause one call is let through, and its
 * outcome closes the breaker or doubles the pause. Only failures to reach count: a login that cannot be removed says nothing of the resource.
 */
import type { ErrorCode } from "@cardea/core/contract/errors";
import type { Random } from "@cardea/core/lib/random";
import { backoffMs } from "../jitter.ts";
import type { Monotonic } from "../trust/monotonic.ts";

const reachCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "resource_unreachable",
  "resource_timeout",
  "resource_unauthorized",
]);

export interface BreakerOptions {
  readonly after: number;
  readonly pauseMs: { readonly first: number; readonly max: number };
  readonly monotonic: Monotonic;
  readonly random: Random;
  /** Called when it opens. */
  readonly onOpen: () => void;
}

export class Breaker {
  readonly #options: BreakerOptions;
  #failures = 0;
  #openings = 0;
  /** While open: when the next probe may go. */
  #probeAtMs: number | undefined;
  #probing = false;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  get open(): boolean {
    return this.#probeAtMs !== undefined;
  }

  /** How long until something may be tried; 0 for now, `undefined` while a probe is under way. */
  waitMs(): number | undefined {
    if (this.#probeAtMs === undefined) return 0;
    if (this.#probing) return undefined;
    return Math.max(0, this.#probeAtMs - this.#options.monotonic.nowMs());
  }

  /** Before a call that may be a probe. */
  begin(): void {
    if (this.#probeAtMs !== undefined) this.#probing = true;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#openings = 0;
    this.#probeAtMs = undefined;
    this.#probing = false;
  }

  /** After a call that failed with this code. */
  failed(code: ErrorCode): void {
    const wasOpen = this.#probeAtMs !== undefined;
    const wasProbe = this.#probing;
    this.#probing = false;
    if (!reachCodes.has(code)) {
      // The resource answered.
      if (wasOpen) this.succeeded();
      return;
    }
    this.#failures++;
    // Calls that were under way when it opened say nothing new.
    if (this.#failures < this.#options.after || (wasOpen && !wasProbe)) return;
    this.#probeAtMs =
      this.#options.monotonic.nowMs() + backoffMs(this.#options.pauseMs, this.#openings, this.#options.random);
    this.#openings++;
    if (!wasOpen) this.#options.onOpen();
  }
}
