import type { ExerciseCatalog } from "@cardea/testing/exercise";

/** Every benchmark by name; `npm run bench -- NAME` loads the one named. */
export const catalog: ExerciseCatalog = {
  hold: () => import("./gateway/hold.ts"),
  idle: () => import("./idle.ts"),
  mint: () => import("./mint/mint.ts"),
  "pg-bulk": () => import("./gateway/pg-bulk.ts"),
  "pg-gateway": () => import("./gateway/pg-gateway.ts"),
  "pg-profile": () => import("./gateway/pg-profile.ts"),
  policy: () => import("./policy/policy.ts"),
  revoke: () => import("./gateway/revoke.ts"),
  sessions: () => import("./gateway/sessions.ts"),
};
