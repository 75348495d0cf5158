/** Runs one of our programs as a user does, as a process of its own, and keeps what it says. Built code only. */
import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { repositoryRoot } from "../documentation.ts";

export interface Program extends AsyncDisposable {
  readonly process: ChildProcess;
  /** Everything said so far, on both streams. */
  output(): string;
  /** Resolves once the words were said. @throws Error with all that was said, when the program ended or took too long */
  says(words: string, timeoutMs?: number): Promise<void>;
  /** Resolves with the exit code, or the signal's name. */
  ended(): Promise<number | string>;
}

export interface ProgramOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
}

export function startServerProgram(args: readonly string[], options: ProgramOptions = {}): Program {
  return startProgram(join(repositoryRoot, "packages/server/dist/main.js"), args, options);
}

function startCli(args: readonly string[], options: ProgramOptions = {}): Program {
  return startProgram(join(repositoryRoot, "packages/cli/bin/cardea.js"), args, options);
}

/** Runs a command to its end. */
export async function runCli(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<{ readonly exit: number | string; readonly output: string }> {
  await using program = startCli(args, options);
  const exit = await program.ended();
  return { exit, output: program.output() };
}

/** `npm start` as a terminal runs it: with what it starts in a process group of its own, which `pressCtrlC` ends. */
export function startByNpm(options: ProgramOptions = {}): Program & { pressCtrlC(): void } {
  const program = watched(
    spawn("npm", ["start"], { cwd: repositoryRoot, detached: true, env: environment(options), stdio: "pipe" }),
    options,
  );
  return {
    ...program,
    pressCtrlC: () => {
      if (program.process.pid !== undefined) process.kill(-program.process.pid, "SIGINT");
    },
  };
}

function startProgram(module: string, args: readonly string[], options: ProgramOptions): Program {
  const child = spawn(process.execPath, [module, ...args], {
    cwd: options.cwd,
    env: environment(options),
    stdio: "pipe",
  });
  return watched(child, options);
}

function environment({ env }: ProgramOptions): NodeJS.ProcessEnv {
  return { ...process.env, NO_COLOR: "1", ...env };
}

function watched(child: ChildProcessWithoutNullStreams, { input }: ProgramOptions): Program {
  let said = "";
  const listeners = new Set<() => void>();
  const hear = (chunk: Buffer) => {
    said += chunk.toString();
    for (const listener of listeners) listener();
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  child.stdin.on("error", () => undefined);
  child.stdin.end(input ?? "");
  const exited: Promise<number | string> = once(child, "close").then(
    () => child.exitCode ?? child.signalCode ?? "unknown",
  );
  return {
    process: child,
    output: () => said,
    ended: () => exited,
    says: (words, timeoutMs = 60_000) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          give(`\`${words}\` was not said within ${String(timeoutMs)} ms`);
        }, timeoutMs);
        const look = () => {
          if (!said.includes(words)) return;
          done();
          resolve();
        };
        const done = () => {
          clearTimeout(timer);
          listeners.delete(look);
        };
        const give = (why: string) => {
          done();
          reject(new Error(`${why}; all that was said:\n${said}`));
        };
        exited.then((how) => {
          if (!said.includes(words)) give(`the program ended with ${String(how)} before it said \`${words}\``);
        }, reject);
        listeners.add(look);
        look();
      }),
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      const insist = setTimeout(() => child.kill("SIGKILL"), 20_000);
      await exited;
      clearTimeout(insist);
    },
  };
}
