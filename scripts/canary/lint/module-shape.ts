// expect +1: @typescript-eslint/consistent-type-imports
import { Stats } from "node:fs";

// expect +1: no-restricted-syntax
export enum Kind {}

// expect +1: no-restricted-syntax
export namespace Space {
  export const inside = 1;
}

// expect +1: no-restricted-syntax
export * from "./ambient.ts";

// expect +1: no-restricted-syntax
export default function nameless(stats: Stats): number {
  // expect +1: house/disable-reason
  // eslint-disable-next-line no-console
  console.log(stats);
  // expect +1: unused-directive
  // eslint-disable-next-line eqeqeq -- nothing here needs it
  return 1;
}
