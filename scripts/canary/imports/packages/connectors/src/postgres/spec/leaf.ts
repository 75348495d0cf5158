export type Leaf = "postgres spec";
