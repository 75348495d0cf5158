import type { Leaf } from "../lifecycle/leaf.ts";

export type Upward = Leaf;
