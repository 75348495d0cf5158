import { second } from "./second-of-cycle.ts";

export const first = (): number => second();
