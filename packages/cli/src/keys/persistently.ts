import { CardeaError, type ErrorCode } from "@cardea/core/contract/errors";
import { pause } from "@cardea/sdk/pause";
import type { Context } from "../context.ts";

/** What passes by itself, and says nothing about the call. */
const passing: readonly ErrorCode[] = [
  "unreachable",
  "timeout",
  "rate_limited",
  "database_unavailable",
  "key_not_ready",
];
const firstPauseMs = 500;
const longestPauseMs = 10_000;

/**
 * Repeats a call that may be repeated while the control plane is away, with growing pauses. Gives up with the last error after so many
 * attempts (default: never), when the context's signal aborts, or at any other error.
 */
export async function persistently<T>(
  { signal, terminal }: Context,
  { attempts = Number.POSITIVE_INFINITY }: { readonly attempts?: number },
  call: () => Promise<T>,
): Promise<T> {
  const over = () => signal.aborted;
  for (let attempt = 1, pauseMs = firstPauseMs; ; attempt++, pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof CardeaError) || !passing.includes(error.code) || attempt >= attempts || over())
        throw error;
      if (attempt === 2) terminal.note(`${error.message}; trying again`);
      await pause(pauseMs, signal);
      if (over()) throw error;
    }
  }
}
