import type { First } from "./first-of-cycle.ts";

export type Second = First | 2;
