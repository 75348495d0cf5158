/** `cardea`: people's and pipelines' commands over the API. Parses, runs one command, turns every outcome into words and an exit code. */
import { randomFillSync } from "node:crypto";
import { CommanderError } from "commander";
import type { Problem } from "@cardea/core/wire/api/conventions";
import { CardeaError, errors } from "@cardea/core/contract/errors";
import type { GlobalOptions } from "./context.ts";
import { clean, cleanJson } from "./output/clean.ts";
import { buildProgram } from "./program.ts";

/** What a shell shows for a program that Ctrl-C ended. */
const interruptedExit = 130;

const interrupted = new AbortController();
// Once: a second Ctrl-C ends the process whatever it is doing.
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.once(name, () => {
    interrupted.abort();
  });
// A reader that went away (`| head`) is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

const program = buildProgram(
  {
    environment: process.env,
    clock: { now: () => Date.now() },
    random: { bytes: (length) => randomFillSync(new Uint8Array(length)) },
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    signal: interrupted.signal,
  },
  (code) => {
    process.exitCode = code;
  },
);
try {
  await program.parseAsync(process.argv);
} catch (error) {
  process.exitCode = report(error);
}

/** Says what went wrong, to a person or as a problem document. Answers the exit code. */
function report(thrown: unknown): number {
  if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
  // The help was shown because no command was named.
  if (thrown instanceof CommanderError && thrown.code === "commander.help") return 2;
  const error = asCardeaError(thrown);
  const { exit, title, retryable, status } = errors[error.code];
  const problem: Problem = problemOf(error) ?? {
    type: `urn:cardea:error:${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    retryable,
  };
  if (program.opts<GlobalOptions>().json === true) process.stderr.write(`${cleanJson(JSON.stringify(problem))}\n`);
  else process.stderr.write(`${clean(wordsOf(error, problem))}\n`);
  return error.code === "cancelled" && interrupted.signal.aborted ? interruptedExit : exit;
}

function asCardeaError(thrown: unknown): CardeaError {
  if (thrown instanceof CardeaError) return thrown;
  if (thrown instanceof CommanderError)
    return new CardeaError("usage", `${usageWords(thrown.message)}; \`--help\` shows how`);
  return new CardeaError(
    "internal",
    `internal fault: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`,
  );
}

/** Commander's words in the form of ours. */
function usageWords(message: string): string {
  return message
    .replace(/^error: /, "")
    .replace(/\s*\n\(/, " (")
    .replace(/\.$/, "")
    .replace(". Allowed choices", "; allowed choices")
    .replace("Did you mean", "did you mean")
    .replaceAll("'", "`");
}

/** The problem document of an answer from the control plane, as it came. */
function problemOf(error: CardeaError): Problem | undefined {
  // The class is not imported here, because it would load every schema at each start.
  return error.name === "ApiError" && "problem" in error ? (error.problem as Problem) : undefined; // only `ApiError` has that name
}

function wordsOf(error: CardeaError, problem: Problem): string {
  const details = [...(problem.reasons ?? []), ...error.pointers.map(({ path, message }) => `${path}: ${message}`)];
  return [
    `cardea: ${error.message} (${error.code})`,
    ...details.filter((line) => !error.message.includes(line)).map((line) => `  - ${line}`),
  ].join("\n");
}
