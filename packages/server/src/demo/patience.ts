/** Waiting for what must come to be, with an end to it. */
import { setTimeout as sleep } from "node:timers/promises";
import { monotonicMs } from "../processes/system.ts";
import { holds } from "./narrator.ts";

const patienceMs = 20_000;

/** @throws Error with the words where it takes too long */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  const timeout = sleep(patienceMs, undefined, { ref: false }).then(() => {
    throw new Error(`this does not hold: ${what} within ${String(patienceMs / 1_000)} s`);
  });
  return Promise.race([promise, timeout]);
}

/** Looks until there is something. @throws Error with the words where there never is */
export async function eventually<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const deadline = monotonicMs() + patienceMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    holds(monotonicMs() < deadline, what);
    await sleep(50);
  }
}
