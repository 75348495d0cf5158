import type { Leaf } from "../evidence/leaf.ts";

export type Upward = Leaf;
