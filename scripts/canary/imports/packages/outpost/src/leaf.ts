export type Leaf = "outpost";
