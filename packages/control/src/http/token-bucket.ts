import type { Clock } from "@cardea/core/lib/clock";

/** How much somebody may do: `burst` at once, refilled by `perSecond`. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Above this many callers the full buckets, which say nothing, are dropped. */
const sweepAbove = 10_000;

/**
 * Token buckets by caller, in this process's memory. Where several processes share the work each allows its own part; what must be exact is
 * counted in the database instead.
 */
export class TokenBuckets {
  readonly #rate: Rate;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** Takes one token. Answers 0, or where there is none the seconds to wait for it. */
  take(key: string): number {
    const bucket = this.#refilled(key);
    if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / this.#rate.perSecond));
    bucket.tokens--;
    return 0;
  }

  /** Like `take`, but takes nothing. */
  look(key: string): number {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return 0;
    this.#refill(bucket);
    return bucket.tokens < 1 ? Math.max(1, Math.ceil((1 - bucket.tokens) / this.#rate.perSecond)) : 0;
  }

  #refilled(key: string): Bucket {
    const found = this.#buckets.get(key);
    if (found !== undefined) {
      this.#refill(found);
      return found;
    }
    if (this.#buckets.size >= sweepAbove) this.#sweep();
    const bucket = { tokens: this.#rate.burst, atMs: this.#clock.now() };
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #refill(bucket: Bucket): void {
    const now = this.#clock.now();
    // A clock stepped backwards gives nothing and takes nothing.
    const seconds = Math.max(0, now - bucket.atMs) / 1_000;
    bucket.tokens = Math.min(this.#rate.burst, bucket.tokens + seconds * this.#rate.perSecond);
    bucket.atMs = now;
  }

  #sweep(): void {
    for (const [key, bucket] of this.#buckets) {
      this.#refill(bucket);
      if (bucket.tokens >= this.#rate.burst) this.#buckets.delete(key);
    }
    // Whoever fills the map with half-empty buckets makes the oldest be forgotten, not the memory grow.
    for (const key of this.#buckets.keys()) {
      if (this.#buckets.size < sweepAbove) break;
      this.#buckets.delete(key);
    }
  }
}
