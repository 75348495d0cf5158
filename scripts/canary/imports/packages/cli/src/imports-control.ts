import type { Leaf } from "../../control/src/leaf.ts";

export type Forbidden = Leaf;
