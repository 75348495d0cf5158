/** `cardea`: people's and pipelines' commands over the API. Parses, runs one command, turns every outcome into words and an exit code. */
import { CommanderError } from "commander";
import { CardeaError, errors } from "@cardea/core/contract/errors";
import { ApiError } from "@cardea/sdk/failure";
import { buildProgram } from "./program.ts";

const interrupted = new AbortController();
process.once("SIGINT", () => { interrupted.abort(); });
process.once("SIGTERM", () => { interrupted.abort(); });
// A reader that went away (`| head`) is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => { process.exit(error.code === "EPIPE" ? 0 : 1); });

try {
  await buildProgram(process.env, interrupted.signal, (code) => { process.exitCode = code; }).parseAsync(process.argv);
} catch (error) {
  process.exitCode = report(error, process.argv.includes("--json"));
}

/** Says what went wrong, to a person or as a problem document. Answers the exit code. */
function report(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (!(error instanceof CardeaError)) {
    process.stderr.write(`cardea: internal fault: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 1;
  }
  const { exit, title, retryable, status } = errors[error.code];
  if (json) {
    const problem = error instanceof ApiError ? error.problem : { type: `urn:cardea:error:${error.code}`, title, status, detail: error.message, code: error.code, retryable };
    process.stderr.write(`${JSON.stringify(problem)}\n`);
    return exit;
  }
  process.stderr.write(`cardea: ${error.message} (${error.code})\n`);
  const reasons = error instanceof ApiError ? (error.problem.reasons ?? []) : [];
  for (const reason of reasons) if (!error.message.includes(reason)) process.stderr.write(`  - ${reason}\n`);
  for (const { path, message } of error.pointers) process.stderr.write(`  - ${path}: ${message}\n`);
  return error.code === "cancelled" ? 130 : exit;
}
