/**
 * One start of the server program, up to the moment when it accepts connections. The server gets a session of its own
 * and writes its log by itself, so that neither a terminal's Ctrl-C nor our death reaches it.
 */
import { spawn } from "node:child_process";
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Account } from "./account.ts";
import { serverEnvironment } from "./data-dir.ts";
import type { LogFile } from "./log-file.ts";
import { findPostmaster, readPidFile, shutDown, type ShutdownLimits } from "./postmaster.ts";

export interface LaunchOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly dataDir: string;
  readonly account: Account | undefined;
  readonly log: LogFile;
  /** For ending a start that is abandoned. */
  readonly limits: ShutdownLimits;
  readonly signal: AbortSignal;
}

/** `logFrom` is where in the log this attempt's lines begin. */
export type Launch = { readonly kind: "ready"; readonly pid: number } | { readonly kind: "ended"; readonly how: string; readonly logFrom: number };

/**
 * Starts the server and waits until it says in its pid file that it is ready.
 * @throws the signal's reason when aborted; the server is ended before
 */
export async function launch({ program, args, dataDir, account, log, limits, signal }: LaunchOptions): Promise<Launch> {
  await removeForeignPidFile(dataDir);
  const logFrom = await log.size();
  const output = await log.open();
  let how: string | undefined;
  const child = spawn(program, args, {
    cwd: "/",
    detached: true,
    env: serverEnvironment,
    stdio: ["ignore", output.fd, output.fd],
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
  });
  child.once("error", (error) => (how = error.message));
  child.once("exit", (code, killedBy) => (how = killedBy === null ? `exit ${code}` : killedBy));
  child.unref();
  await output.close();
  try {
    for (let everyMs = 2; how === undefined; everyMs = Math.min(everyMs * 1.5, 50)) {
      const file = await readPidFile(dataDir);
      if (file !== undefined && file.pid === child.pid && file.status === "ready") return { kind: "ready", pid: file.pid };
      await sleep(everyMs, undefined, { signal });
    }
  } catch (error) {
    if (child.pid !== undefined) await shutDown(child.pid, dataDir, limits);
    throw error;
  }
  return { kind: "ended", how, logFrom };
}

/**
 * Removes a pid file whose number is another program's by now: the server would take that for a running server. A pid
 * file of a dead process stays: the server itself makes sure that none of its sessions is left before it replaces it.
 */
async function removeForeignPidFile(dataDir: string): Promise<void> {
  const found = await findPostmaster(dataDir);
  if (found.kind === "stale" && found.running) await unlink(join(dataDir, "postmaster.pid"));
}
