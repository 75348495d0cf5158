import { provider } from "../provider/leaf.ts";

export const impure = provider;
