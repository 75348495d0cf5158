/**
 * Runs one of Cardea's own processes as a child: waits until it says it is ready, restarts it when it dies, ends it when asked. The child
 * holds the other end of an IPC channel and ends by itself when that closes, so nothing is left when the supervisor is killed.
 */
import { fork, type ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { CardeaError } from "@cardea/core/contract/errors";
import { monotonicMs } from "./system.ts";

export interface ChildOptions {
  readonly name: string;
  /** Absolute path of the program's main module. */
  readonly module: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly readyTimeoutMs: number;
  readonly stopTimeoutMs: number;
  /** Lines that the child writes; its own log is structured. */
  readonly onLine: (name: string, line: string) => void;
  /** Told of every end that was not asked for. */
  readonly onExit: (name: string, how: string, restartInMs: number) => void;
}

const backoffMs = { first: 200, longest: 10_000, forgottenAfter: 60_000 };

export class Child implements AsyncDisposable {
  readonly #options: ChildOptions;
  #process: ChildProcess | undefined;
  #stopping = false;
  #failures = 0;
  #supervision: Promise<void> = Promise.resolve();

  private constructor(options: ChildOptions) {
    this.#options = options;
  }

  /** Starts the child; answers with what it said when it was ready. @throws CardeaError `internal` or `timeout` with the child's own words where it ended first. */
  static async start(options: ChildOptions): Promise<{ child: Child; ready: unknown }> {
    const child = new Child(options);
    const ready = await child.#launch();
    return { child, ready };
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Starts the program again after `stop`. @throws as `start` */
  startAgain(): Promise<unknown> {
    this.#stopping = false;
    return this.#launch();
  }

  /** Ends the child: asks, waits, insists. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#process;
    if (child?.exitCode === null && child.signalCode === null) {
      const exited = new Promise<void>((resolve) =>
        child.once("exit", () => {
          resolve();
        }),
      );
      child.kill("SIGTERM");
      const insist = setTimeout(() => child.kill("SIGKILL"), this.#options.stopTimeoutMs);
      await exited;
      clearTimeout(insist);
    }
    await this.#supervision;
  }

  // A call, because the field may change during any wait and the compiler would remember what was looked at before it.
  #isStopping(): boolean {
    return this.#stopping;
  }

  async #launch(): Promise<unknown> {
    const { name, module, args, env, readyTimeoutMs, onLine } = this.#options;
    const child = fork(module, [...args], { env, stdio: ["ignore", "pipe", "pipe", "ipc"], detached: true });
    this.#process = child;
    const last: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      readLines(stream, (line) => {
        last.push(line);
        if (last.length > 20) last.shift();
        onLine(name, line);
      });
    }
    const ready = await new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        reject(new CardeaError("timeout", `${name} was not ready after ${String(readyTimeoutMs / 1_000)} s`));
      }, readyTimeoutMs);
      child.once("message", (message) => {
        clearTimeout(timer);
        resolve(message);
      });
      child.once("exit", (code, signal) => {
        clearTimeout(timer);
        reject(failureOf(name, last, signal ?? `exit ${String(code)}`));
      });
    });
    const startedAt = monotonicMs();
    child.once("exit", (code, signal) => {
      if (this.#stopping) return;
      if (monotonicMs() - startedAt > backoffMs.forgottenAfter) this.#failures = 0;
      this.#supervision = this.#restart(signal ?? `exit ${String(code)}`);
    });
    return ready;
  }

  async #restart(how: string): Promise<void> {
    while (!this.#stopping) {
      const waitMs = Math.min(backoffMs.first * 2 ** this.#failures, backoffMs.longest);
      this.#failures += 1;
      this.#options.onExit(this.#options.name, how, waitMs);
      await sleep(waitMs);
      if (this.#isStopping()) return;
      try {
        await this.#launch();
        return;
      } catch (error) {
        how = error instanceof Error ? error.message : "it did not start";
      }
    }
  }
}

function failureOf(name: string, last: readonly string[], how: string): CardeaError {
  const words = last.findLast((line) => line.startsWith("cardea: "))?.slice("cardea: ".length);
  return new CardeaError(
    "internal",
    words ?? `${name} ended before it was ready (${how})${last.length > 0 ? `:\n${last.join("\n")}` : ""}`,
  );
}

function readLines(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}
