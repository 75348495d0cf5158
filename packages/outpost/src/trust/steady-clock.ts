/**
 * The time by which deadlines are kept, and whether it can be trusted. The wall clock is compared with the monotonic one: a step makes it
 * unsure, and nothing new is issued until the control plane's time agrees again. Endings never wait for that, and a clock that is set back
 * lengthens no lease: deadlines go by the later of the wall clock and what has passed since it was last sure.
 */
import type { Clock } from "@cardea/core/lib/clock";
import type { Monotonic } from "./monotonic.ts";

export interface SteadyOptions {
  readonly clock: Clock;
  readonly monotonic: Monotonic;
  /** The latest time that was ever sure, from the store; 0 at the first start. */
  readonly knownMs: number;
  readonly stepMs: number;
  readonly skewMs: number;
}

export class SteadyClock {
  readonly #clock: Clock;
  readonly #monotonic: Monotonic;
  readonly #stepMs: number;
  readonly #skewMs: number;
  /** Wall and monotonic time at one moment. */
  #anchor: { readonly wallMs: number; readonly monotonicMs: number };
  #unsure: string | undefined;

  constructor({ clock, monotonic, knownMs, stepMs, skewMs }: SteadyOptions) {
    this.#clock = clock;
    this.#monotonic = monotonic;
    this.#stepMs = stepMs;
    this.#skewMs = skewMs;
    const wallMs = clock.now();
    this.#anchor = { wallMs: Math.max(wallMs, knownMs), monotonicMs: monotonic.nowMs() };
    if (wallMs + skewMs < knownMs)
      this.#unsure = `the clock shows ${time(wallMs)}, and it was ${time(knownMs)} before the last stop`;
  }

  /** By which deadlines are judged: never goes backwards. */
  deadlineMs(): number {
    const wallMs = this.#clock.now();
    const expectedMs = this.#expectedMs();
    this.#notice(wallMs, expectedMs);
    return Math.max(wallMs, expectedMs);
  }

  /** Why nothing new may be issued, in words; `undefined` while the clock is sure. */
  unsure(): string | undefined {
    this.#notice(this.#clock.now(), this.#expectedMs());
    return this.#unsure;
  }

  /** The control plane says what time it is there. Agreement makes this clock sure; disagreement makes it unsure. */
  compare(controlMs: number): void {
    const wallMs = this.#clock.now();
    if (Math.abs(wallMs - controlMs) > this.#skewMs) {
      this.#unsure = `the clock shows ${time(wallMs)} here and ${time(controlMs)} at the control plane`;
      return;
    }
    this.#unsure = undefined;
    this.#anchor = { wallMs, monotonicMs: this.#monotonic.nowMs() };
  }

  #expectedMs(): number {
    return this.#anchor.wallMs + (this.#monotonic.nowMs() - this.#anchor.monotonicMs);
  }

  #notice(wallMs: number, expectedMs: number): void {
    const stepMs = wallMs - expectedMs;
    if (Math.abs(stepMs) > this.#stepMs)
      this.#unsure ??= `the clock stepped by ${String(Math.round(stepMs / 1_000))} s`;
    // A slow drift is followed forwards, so that it never adds up to a step.
    else if (stepMs > 0) this.#anchor = { wallMs, monotonicMs: this.#monotonic.nowMs() };
  }
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
