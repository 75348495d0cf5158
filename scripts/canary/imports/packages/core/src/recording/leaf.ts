export type Leaf = "recording";
