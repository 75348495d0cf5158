import type { Leaf } from "@canary/core/evidence/leaf";

export type UpwardByName = Leaf;
