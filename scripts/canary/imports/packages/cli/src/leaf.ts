export type Leaf = "cli";
