export type Leaf = "server";
