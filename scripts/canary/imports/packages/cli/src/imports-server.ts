import type { Leaf } from "../../server/src/leaf.ts";

export type Forbidden = Leaf;
