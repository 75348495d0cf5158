export type Leaf = "wire";
