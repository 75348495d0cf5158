import { randomFillSync } from "node:crypto";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";

/**
 * The one place where the operating system's clock, randomness and environment enter the programs; everything below them gets these as
 * arguments.
 */
export const systemClock: Clock = { now: () => Date.now() };

export const systemRandom: Random = { bytes: (length) => randomFillSync(new Uint8Array(length)) };

/** Milliseconds on a clock that never steps; only differences mean something. */
export const monotonicMs = (): number => performance.now();

export const systemEnvironment: Readonly<NodeJS.ProcessEnv> = process.env;
