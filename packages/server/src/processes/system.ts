import { randomFillSync } from "node:crypto";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";

/** The one place where the operating system's clock and randomness enter; everything below gets them as arguments. */
export const systemClock: Clock = { now: () => Date.now() };

export const systemRandom: Random = { bytes: (length) => randomFillSync(new Uint8Array(length)) };
