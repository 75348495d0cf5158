/**
 * Starts a whole Cardea, types the README's and the tutorial's commands into it, and says each line with its exit. A program of its own,
 * because a whole Cardea runs built code only. Ends with 1 at the first line that does not do what its page says.
 */
import { runPage } from "./run-typed.ts";
import { startWholeStack } from "./whole-stack.ts";

const pages = ["README.md", "docs/tutorial/first-key.md"];

await using whole = await startWholeStack();
try {
  for (const page of pages) {
    const typed = await runPage(whole.stack, page);
    for (const { text, exitCode } of typed) process.stdout.write(`${page}: ${String(exitCode)} ${text}\n`);
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
