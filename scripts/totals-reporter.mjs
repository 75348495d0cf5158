// A vitest reporter that counts what `npm test` reports. vitest.config.ts adds it to every run; it prints nothing.
// It writes the totals to the file named by CARDEA_TEST_TOTALS, which scripts/test.mjs reads once vitest is gone, so
// that the totals are the very last line whatever vitest still has to say.
import { writeFileSync } from "node:fs";

/** @typedef {{ passed: number, failed: number, skipped: number }} Totals */

export class TotalsReporter {
  /**
   * Counts each test once. A file that could not be loaded, a failing hook of a suite and an error outside any test
   * have no test to stand for them, so each counts as one failure: nothing that went wrong may leave `failed` at 0.
   *
   * @param {ReadonlyArray<import("vitest/node").TestModule>} modules
   * @param {ReadonlyArray<unknown>} unhandledErrors
   */
  onTestRunEnd(modules, unhandledErrors) {
    /** @type {Totals} */
    const totals = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    for (const module of modules) {
      totals.failed += module.errors().length;
      for (const suite of module.children.allSuites()) totals.failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        // `pending` at the end of a run means that the test never got to run: a failure, not a skip.
        if (state === "pending") totals.failed += 1;
        else totals[state] += 1;
      }
    }
    const path = process.env["CARDEA_TEST_TOTALS"];
    if (path !== undefined) writeFileSync(path, JSON.stringify(totals));
  }
}
