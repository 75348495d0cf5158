/**
 * An ordinary program in a pseudo terminal, typed into and read as a person would. `script` of util-linux makes the terminal, so no native
 * module is needed. Used by the demo and by end-to-end tests.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemEnvironment } from "../processes/system.ts";

const patienceMs = 20_000;

/** One program, from its start to its end; whoever opens it disposes of it. */
export class TerminalProgram implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;
  #shown = "";
  /** Up to here it was read. */
  #read = 0;
  #heard: (() => void)[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    const hear = (): void => {
      for (const wake of this.#heard.splice(0)) wake();
    };
    child.stdout?.setEncoding("utf8").on("data", (part: string) => {
      this.#shown += part.replaceAll("\r\n", "\n");
      hear();
    });
    child.stdin?.on("error", () => undefined);
    this.#ended = once(child, "close").then(([code]) => {
      hear();
      return typeof code === "number" ? code : 1;
    });
  }

  /** What a terminal needs and this machine lacks, if anything. */
  static async lacks(program: string): Promise<string | undefined> {
    if (process.platform !== "linux") return "a Linux machine";
    for (const name of ["script", program]) if (!(await isOnPath(name))) return `\`${name}\``;
    return undefined;
  }

  /**
   * @param command a shell's command line
   * @param env all of the environment
   */
  static open(command: string, env: NodeJS.ProcessEnv, directory?: string): TerminalProgram {
    const child = spawn("script", ["--quiet", "--return", "--flush", "--command", command, "/dev/null"], {
      env: { ...env, SHELL: "/bin/sh" },
      ...(directory !== undefined && { cwd: directory }),
      stdio: ["pipe", "pipe", "ignore"],
    });
    return new TerminalProgram(child);
  }

  /** Everything that was ever shown. */
  get shown(): string {
    return this.#shown;
  }

  /** The exit code, once the program has ended. */
  get ended(): Promise<number> {
    return this.#ended;
  }

  /** A line and the key that ends it. */
  type(line: string): void {
    this.press(`${line}\r`);
  }

  /** Keys as they are, such as `"\u0003"` for Ctrl-C. */
  press(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Waits until this is shown after what was waited for before. @throws Error with what was shown instead */
  async sees(pattern: RegExp, waitMs = patienceMs): Promise<RegExpExecArray> {
    const late = AbortSignal.timeout(waitMs);
    const program: { over: boolean } = { over: false };
    const ended = this.#ended.then(() => {
      program.over = true;
    });
    for (;;) {
      const found = pattern.exec(this.#shown.slice(this.#read));
      if (found !== null) {
        this.#read += found.index + found[0].length;
        return found;
      }
      if (program.over || late.aborted)
        throw new Error(
          `${String(pattern)} was not shown${program.over ? " before it ended" : ""}:\n${this.#shown.slice(this.#read)}`,
        );
      await Promise.race([
        new Promise<void>((wake) => this.#heard.push(wake)),
        ended,
        sleep(250, undefined, { ref: false }),
      ]);
    }
  }

  /** Hangs up. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGTERM");
    const insist = setTimeout(() => this.#child.kill("SIGKILL"), 2_000);
    await this.#ended;
    clearTimeout(insist);
  }
}

async function isOnPath(name: string): Promise<boolean> {
  for (const folder of (systemEnvironment["PATH"] ?? "").split(delimiter)) {
    const found = await access(join(folder, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
