/**
 * What runs on a data directory, as its `postmaster.pid` tells and the operating system confirms. The supervisor asks
 * here before it starts a server, to adopt one that outlived its parent, and ends servers through here.
 */
import { readFile, readlink, realpath } from "node:fs/promises";
import { basename, join } from "node:path";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { CardeaError } from "@cardea/core/contract/errors";
import { hasCode } from "./system-error.ts";

const run = promisify(execFile);

/** The lines of `postmaster.pid` (`src/include/utils/pidfile.h`); those after the first few appear as the start proceeds. */
export interface PidFile {
  readonly pid: number;
  readonly status: "starting" | "ready" | "stopping" | "standby" | undefined;
}

/**
 * `stale`: the file names a process that is gone (`running: false`) or is something else by now (`running: true`).
 * `nameless`: the file names none, as in the moment before a server writes into it, or for ever after a crash then.
 */
export type Postmaster =
  | { readonly kind: "none" }
  | { readonly kind: "nameless" }
  | { readonly kind: "stale"; readonly pid: number; readonly running: boolean }
  | { readonly kind: "live"; readonly pid: number; readonly status: PidFile["status"] };

/** Looks at `dataDir`; changes nothing. */
export async function findPostmaster(dataDir: string): Promise<Postmaster> {
  const file = await readPidFile(dataDir);
  if (file === undefined) return { kind: "none" };
  if (file === "nameless") return { kind: "nameless" };
  const { pid, status } = file;
  if (!(await isAlive(pid))) return { kind: "stale", pid, running: false };
  return (await serves(pid, dataDir)) ? { kind: "live", pid, status } : { kind: "stale", pid, running: true };
}

/** `undefined` when there is no such file. */
export async function readPidFile(dataDir: string): Promise<PidFile | "nameless" | undefined> {
  const text = await readFile(join(dataDir, "postmaster.pid"), "utf8").catch((error: unknown) => {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const lines = text.split("\n");
  // A stand-alone backend writes its pid negated.
  const pid = Math.abs(Number.parseInt(lines[0] ?? "", 10));
  if (!Number.isSafeInteger(pid) || pid === 0) return "nameless";
  const status = lines[7]?.trim();
  const known = status === "starting" || status === "ready" || status === "stopping" || status === "standby";
  return { pid, status: known ? status : undefined };
}

/** The command line that the running server was started with, as `postmaster.opts` records it. */
export async function readCommandLine(dataDir: string): Promise<string> {
  return (await readFile(join(dataDir, "postmaster.opts"), "utf8").catch(() => "")).trimEnd();
}

/** How PostgreSQL writes a command line into `postmaster.opts`. */
export function commandLine(program: string, args: readonly string[]): string {
  return [program, ...args.map((arg) => `"${arg}"`)].join(" ");
}

/** Whether the process exists and is more than an unreaped exit (after a `kill -9` of its parent, pid 1 may never reap it). */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return hasCode(error, "EPERM");
  }
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3); // the command before it may hold anything
  return state !== "Z" && state !== "X";
}

/** Whether `pid` is a PostgreSQL server of `dataDir`: a server's working directory is its data directory. */
async function serves(pid: number, dataDir: string): Promise<boolean> {
  try {
    const [program, cwd] = process.platform === "linux" ? await procIdentity(pid) : await psIdentity(pid);
    return program.startsWith("postgres") && cwd === (await realpath(dataDir));
  } catch {
    return false; // gone meanwhile, or another user's
  }
}

async function procIdentity(pid: number): Promise<readonly [program: string, cwd: string]> {
  return Promise.all([readFile(`/proc/${pid}/comm`, "utf8"), readlink(`/proc/${pid}/cwd`)]);
}

async function psIdentity(pid: number): Promise<readonly [program: string, cwd: string]> {
  const [ps, lsof] = await Promise.all([
    run("ps", ["-o", "comm=", "-p", String(pid)]),
    run("lsof", ["-a", "-p", String(pid), "-d", "cwd", "-Fn"]),
  ]);
  const cwd = lsof.stdout.split("\n").find((line) => line.startsWith("n"));
  return [basename(ps.stdout.trim()), cwd?.slice(1) ?? ""];
}

export interface ShutdownLimits {
  /** How long sessions that were told to end may take to roll back and the server to write its checkpoint. */
  readonly fastShutdownMs: number;
  /** How long the server may take to abandon everything after that; then it is killed. */
  readonly immediateShutdownMs: number;
}

/**
 * Ends the server `pid` of `dataDir`: fast, then immediate, then by force. Committed data survives each of them.
 * @throws CardeaError `timeout` when the process is still there after all three
 */
export async function shutDown(pid: number, dataDir: string, limits: ShutdownLimits): Promise<void> {
  const escalation = [
    ["SIGINT", limits.fastShutdownMs],
    ["SIGQUIT", limits.immediateShutdownMs],
    ["SIGKILL", 5_000],
  ] as const;
  for (const [signal, limitMs] of escalation) {
    // Asked anew before each signal: the number may be another process's by now.
    if (!(await isAlive(pid)) || !(await serves(pid, dataDir))) return;
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (hasCode(error, "ESRCH")) return;
      throw error;
    }
    for (let waitedMs = 0; waitedMs < limitMs; waitedMs += 10) {
      if (!(await isAlive(pid))) return;
      await sleep(10);
    }
  }
  throw new CardeaError(
    "timeout",
    `postgresql (process ${pid}) did not end after being killed, look at it with \`ps\``,
  );
}
