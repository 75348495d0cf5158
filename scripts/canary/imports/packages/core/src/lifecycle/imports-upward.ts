import type { Leaf } from "../policy/leaf.ts";

export type Upward = Leaf;
