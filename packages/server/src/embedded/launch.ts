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
import { findPostmaster, readPidFile } from "./postmaster.ts";

/** A starting server writes into its pid file at once; one that is still empty after this is a leftover. */
const namelessAfterMs = 500;

export interface LaunchOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly dataDir: string;
  readonly account: Account | undefined;
  readonly log: LogFile;
  /** How long an abandoned start may take to end before it is killed. */
  readonly immediateShutdownMs: number;
  readonly signal: AbortSignal;
}

/** `logFrom` is where in the log this attempt's lines begin. */
export type Launch =
  | { readonly kind: "ready"; readonly pid: number }
  | { readonly kind: "ended"; readonly how: string; readonly logFrom: number };

/**
 * Starts the server and waits until it says in its pid file that it is ready.
 * @throws the signal's reason when aborted; the server is ended before
 */
export async function launch({
  program,
  args,
  dataDir,
  account,
  log,
  immediateShutdownMs,
  signal,
}: LaunchOptions): Promise<Launch> {
  await removeMisleadingPidFile(dataDir, signal);
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
      if (typeof file === "object" && file.pid === child.pid && file.status === "ready")
        return { kind: "ready", pid: file.pid };
      await sleep(everyMs, undefined, { signal });
    }
  } catch (error) {
    child.kill("SIGQUIT"); // to our own child at once: `shutDown` waits for it to be recognisable as a server
    for (let waitedMs = 0; how === undefined && waitedMs < immediateShutdownMs; waitedMs += 10) await sleep(10);
    child.kill("SIGKILL");
    throw error;
  }
  return { kind: "ended", how, logFrom };
}

/**
 * Removes a pid file that would keep a server from starting: whose number is another program's by now, or that has none
 * and gets none. One of a dead process stays: the server itself makes sure that none of its sessions is left.
 */
async function removeMisleadingPidFile(dataDir: string, signal: AbortSignal): Promise<void> {
  let found = await findPostmaster(dataDir);
  if (found.kind === "nameless") {
    await sleep(namelessAfterMs, undefined, { signal });
    found = await findPostmaster(dataDir);
  }
  const misleads = found.kind === "nameless" || (found.kind === "stale" && found.running);
  if (misleads) await unlink(join(dataDir, "postmaster.pid"));
}
