export type Leaf = "contract";
