/** What the outpost takes from the process around it by itself: a clock that nobody can set, and where a torture run wants it to stop. */
import type { Monotonic } from "./trust/monotonic.ts";

export const systemMonotonic: Monotonic = { nowMs: () => performance.now() };

/** Names of pause points, with commas between; `undefined` outside of a torture run. */
export const pauseAt = process.env["CARDEA_TORTURE"] === "1" ? process.env["CARDEA_PAUSE_AT"] : undefined;
