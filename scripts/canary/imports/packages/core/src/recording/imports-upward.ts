import type { Leaf } from "../wire/leaf.ts";

export type Upward = Leaf;
