import type { Leaf } from "../approval/leaf.ts";

export type Upward = Leaf;
