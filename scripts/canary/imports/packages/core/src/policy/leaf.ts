export type Leaf = "policy";
