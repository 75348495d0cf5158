export type Leaf = "control";
