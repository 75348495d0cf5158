import type { Leaf } from "../../postgres/spec/leaf.ts";

export type Sibling = Leaf;
