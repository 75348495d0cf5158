import { setTimeout as sleep } from "node:timers/promises";
import { toTime } from "@cardea/core/documents/primitives";
import { forgetOver } from "../audit/remembered.ts";
import type { Control } from "../control.ts";
import { purgeCalls } from "../store/api-state.ts";
import { purgePeople } from "../store/people.ts";

const everyMs = 600_000;

/** Removes what calls have left behind and is over: kept answers, tokens, challenges, invitations. Nothing relies on it having run. */
export function startSweep(control: Control): { close(): Promise<void> } {
  const closing = new AbortController();
  const running = sweep(control, closing.signal);
  return {
    close: async () => {
      closing.abort();
      await running;
    },
  };
}

async function sweep(control: Control, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const now = toTime(control.clock.now());
    try {
      await purgeCalls(control.db, now);
      await purgePeople(control.db, now);
      await forgetOver(control, now);
    } catch (error) {
      control.log.warn({ err: error }, "removing what is over failed; it is tried again");
    }
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
}
