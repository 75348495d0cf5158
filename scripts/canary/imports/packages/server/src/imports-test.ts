import { fixture } from "./leaf.test.ts";

export const used = fixture;
