/** Repeatable chance: the same seed gives the same throws, so that a run that found something can be begun alike. */
export interface Dice {
  /** A whole number from 0 to one less than this. */
  below(bound: number): number;
}

/** Mulberry32: 32 bits of state, more than enough to choose what to kill. */
export function diceOf(seed: number): Dice {
  let state = seed >>> 0;
  return {
    below(bound) {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
    },
  };
}
