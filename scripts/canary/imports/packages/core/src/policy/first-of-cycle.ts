import type { Second } from "./second-of-cycle.ts";

export type First = Second | 1;
