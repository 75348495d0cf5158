import type { Leaf } from "../../sdk/src/leaf.ts";

export type Forbidden = Leaf;
