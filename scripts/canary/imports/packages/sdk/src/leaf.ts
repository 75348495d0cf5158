export type Leaf = "sdk";
