/** Running one child process in the user's terminal. */
import { spawn } from "node:child_process";
import { access, constants as modes, stat } from "node:fs/promises";
import { constants } from "node:os";
import { delimiter, join } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import { userPath } from "../context.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface ChildProgram {
  readonly command: string;
  readonly args: readonly string[];
  /** All of it: the child inherits nothing else. */
  readonly environment: Environment;
}

/** The path of a program as a shell would find it, or `undefined`. */
export async function findProgram(name: string, environment: Environment): Promise<string | undefined> {
  const candidates = name.includes("/")
    ? [userPath(name)]
    : (environment["PATH"] ?? "").split(delimiter).map((folder) => join(folder === "" ? "." : folder, name));
  for (const path of candidates) if (await isProgram(path)) return path;
  return undefined;
}

/**
 * Runs it to its end and answers its exit code, or 128 and the signal that ended it. The child owns the terminal: what the terminal sends
 * (Ctrl-C, a hang-up) reaches it by itself and is not passed on twice; what is sent to us alone is.
 */
export function runChild({ command, args, environment }: ChildProgram): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: "inherit", env: environment });
    const stay = () => undefined;
    const pass = () => child.kill("SIGTERM");
    process.on("SIGINT", stay).on("SIGHUP", stay).on("SIGTERM", pass);
    const done = () => process.off("SIGINT", stay).off("SIGHUP", stay).off("SIGTERM", pass);
    child.once("error", (cause) => {
      done();
      reject(new CardeaError("usage", `\`${command}\` could not be run`, { cause }));
    });
    child.once("exit", (code, signal) => {
      done();
      resolve(code ?? (signal === null ? 1 : 128 + constants.signals[signal]));
    });
  });
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, modes.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
