import { absent } from "@cardea/core/absent";

export const unknown = absent;
