export type Leaf = "lib";
