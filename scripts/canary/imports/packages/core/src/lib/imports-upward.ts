import type { Leaf } from "../log/leaf.ts";

export type Upward = Leaf;
