import type { Leaf } from "../unplaced/leaf.ts";

export type Unplaced = Leaf;
