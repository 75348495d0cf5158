export type Leaf = "approval";
