import { first } from "./first-of-cycle.ts";

export const second = (): number => first();
