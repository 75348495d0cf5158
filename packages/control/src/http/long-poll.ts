import type { Control } from "../control.ts";
import type { WakeChannel } from "../store/wake.ts";

/** Hints may be lost, so a waiting call looks again by itself as often as this. */
const lookAgainMs = 5_000;

export interface Waiting<T> {
  readonly channel: WakeChannel;
  readonly seconds: number;
  /** Aborted when the caller goes away or the server closes; the newest value is then answered as it is. */
  readonly signal: AbortSignal;
  readonly read: () => Promise<T>;
  /** Whether this value is worth answering before the time is over. */
  readonly isNews: (value: T) => boolean;
}

/** Reads until there is news, at most so many seconds; then answers whatever was read last. */
export async function waitForNews<T>(control: Pick<Control, "wake" | "clock">, waiting: Waiting<T>): Promise<T> {
  const untilMs = control.clock.now() + waiting.seconds * 1_000;
  for (;;) {
    const leftMs = untilMs - control.clock.now();
    const done = new AbortController();
    const signal = AbortSignal.any([waiting.signal, done.signal]);
    // The wait begins before the look, so that what happens in between is not missed.
    const woken =
      leftMs > 0 ? control.wake.wait(waiting.channel, Math.min(leftMs, lookAgainMs), signal) : Promise.resolve();
    try {
      const value = await waiting.read();
      if (leftMs <= 0 || waiting.signal.aborted || waiting.isNews(value)) return value;
      await woken;
    } finally {
      done.abort();
    }
  }
}
