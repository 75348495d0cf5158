import type { Random } from "@cardea/core/lib/random";

/** Doubles from `first` to `max` with each attempt, and takes off up to half at random, so that many that failed together do not return together. */
export function backoffMs(
  { first, max }: { readonly first: number; readonly max: number },
  attempts: number,
  random: Random,
): number {
  const full = Math.min(max, first * 2 ** Math.min(attempts, 30));
  const [high = 0, low = 0] = random.bytes(2);
  return Math.ceil(full * (0.5 + (high * 256 + low) / 131_072));
}
