import type { ExerciseCatalog } from "@cardea/testing/exercise";

/** Every benchmark by name; `npm run bench -- NAME` loads the one named. */
export const catalog: ExerciseCatalog = {
  policy: () => import("./policy/policy.ts"),
};
