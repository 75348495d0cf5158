import type { ExerciseCatalog } from "@cardea/testing/exercise";

/** Every benchmark by name; `npm run bench -- NAME` loads the one named. */
export const catalog: ExerciseCatalog = {
  idle: () => import("./idle.ts"),
  mint: () => import("./mint/mint.ts"),
  policy: () => import("./policy/policy.ts"),
};
