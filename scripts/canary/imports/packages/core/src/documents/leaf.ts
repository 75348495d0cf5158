export type Leaf = "documents";
