export type Leaf = "log";
