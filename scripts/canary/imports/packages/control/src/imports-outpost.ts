import type { Leaf } from "../../outpost/src/leaf.ts";

export type Forbidden = Leaf;
