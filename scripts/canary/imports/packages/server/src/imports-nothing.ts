import { absent } from "./absent.ts";

export const nothing = absent;
