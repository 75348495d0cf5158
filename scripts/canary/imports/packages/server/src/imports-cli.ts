import type { Leaf } from "../../cli/src/leaf.ts";

export type Forbidden = Leaf;
