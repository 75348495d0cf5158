export type Leaf = "evidence";
