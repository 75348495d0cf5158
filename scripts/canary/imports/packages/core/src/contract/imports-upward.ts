import type { Leaf } from "../documents/leaf.ts";

export type Upward = Leaf;
