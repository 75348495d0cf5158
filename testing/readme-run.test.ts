import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { TerminalProgram } from "@cardea/server/demo/terminal";
import { cardeaCommands, readPage, repositoryRoot, typedLines } from "./documentation.ts";

const lacking = await TerminalProgram.lacks("psql");

// Some twenty commands a page, every one a process of its own, on a machine that may be busy.
const timeoutMs = 300_000;

describe.skipIf(lacking !== undefined)("typed by a newcomer, against a whole Cardea", () => {
  it(
    "every command of README and tutorial does what its page says",
    async () => {
      // Its words are in the error where a line does something else.
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [join(repositoryRoot, "testing/dist/run-readme.js")],
        {
          cwd: repositoryRoot,
          timeout: timeoutMs,
        },
      );
      for (const page of ["README.md", "docs/tutorial/first-key.md"]) {
        const expected = typedLines(readPage(page)).filter(({ text }) => cardeaCommands(text).length > 0);
        for (const { text } of expected) expect(stdout).toContain(text);
      }
    },
    timeoutMs,
  );
});
