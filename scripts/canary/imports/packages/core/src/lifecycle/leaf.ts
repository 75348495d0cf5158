export type Leaf = "lifecycle";
