import type { ExerciseCatalog } from "@cardea/testing/exercise";

/** Every torture run by name; `npm run torture -- NAME` loads the one named. */
export const catalog: ExerciseCatalog = {
  attack: () => import("./attack/attack.ts"),
  kill: () => import("./kill/kill.ts"),
  statements: () => import("./statements/statements.ts"),
  wire: () => import("./wire/wire.ts"),
};
