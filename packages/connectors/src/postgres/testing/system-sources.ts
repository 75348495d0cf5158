/** The real clock and the real dice, for tests against real servers. */
import { randomBytes } from "node:crypto";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";

export const systemRandom: Random = { bytes: (length) => new Uint8Array(randomBytes(length)) };
export const systemClock: Clock = { now: () => Date.now() };
