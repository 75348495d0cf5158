// How tests run. Workspace packages are resolved through the `source` export condition, so a test sees `src/` and
// needs no build; only tests that spawn our own processes need `dist/`, which `npm test` builds first.
import { defineConfig } from "vitest/config";
import { TotalsReporter } from "./scripts/totals-reporter.mjs";

export default defineConfig({
  // Not `externalConditions`: those reach Node's own `require` in the workers, where packages in two formats break.
  ssr: { resolve: { conditions: ["source", "module", "node", "development|production"] } },
  test: {
    include: ["packages/*/src/**/*.test.ts", "{testing,bench,torture}/**/*.test.ts", "scripts/**/*.test.{ts,mjs}"],
    exclude: ["**/node_modules/**", "**/dist/**", "scripts/canary/**"],
    environment: "node",
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    reporters: ["default", new TotalsReporter()],
  },
});
