import type { Leaf } from "../contract/leaf.ts";

export type Upward = Leaf;
