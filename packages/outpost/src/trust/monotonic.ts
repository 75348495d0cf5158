/** Milliseconds since some point in the past, which nobody can set: it runs on while the time of day is being corrected. */
export interface Monotonic {
  nowMs(): number;
}
