import type { Stats } from "node:fs";

export type Io = Stats;
