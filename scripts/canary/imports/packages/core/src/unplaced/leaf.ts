export type Leaf = "unplaced";
