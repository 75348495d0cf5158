/**
 * From whatever is there to a server that answers: adopts one that runs as we would start it, ends one that runs
 * otherwise, waits for one on its way down, else starts one. Used by the supervisor at its start and after each crash.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CardeaError } from "@cardea/core/contract/errors";
import { Client } from "pg";
import type { Account } from "./account.ts";
import { writeAccessRules } from "./data-dir.ts";
import { launch, type Launch } from "./launch.ts";
import type { LogFile } from "./log-file.ts";
import { commandLine, findPostmaster, readCommandLine, shutDown, type ShutdownLimits } from "./postmaster.ts";
import type { ClusterConnection, Listen } from "./settings.ts";

/** All that a start depends on; the same at every restart. */
export interface ServerPlan {
  readonly program: string;
  readonly args: readonly string[];
  readonly dataDir: string;
  readonly account: Account | undefined;
  readonly listen: Listen;
  readonly connection: ClusterConnection;
  readonly log: LogFile;
  readonly limits: ShutdownLimits;
  readonly startTimeoutMs: number;
}

export interface RunningServer {
  readonly pid: number;
  /** Whether an earlier supervisor started it. */
  readonly adopted: boolean;
}

/**
 * Answers when the server accepts connections.
 * @throws CardeaError `port_taken`, `timeout`, or `database_unavailable` with the log's last lines; the signal's reason
 * when it was aborted. Whatever is thrown, nothing that this call started runs
 */
export async function bringUp(plan: ServerPlan, signal: AbortSignal | undefined): Promise<RunningServer> {
  const deadline = AbortSignal.timeout(plan.startTimeoutMs);
  const either = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
  try {
    for (;;) {
      either.throwIfAborted();
      const adopted = await adopt(plan, either);
      if (adopted !== undefined) return { pid: adopted, adopted: true };
      const outcome = await start(plan, either);
      if (outcome.kind === "ready") return { pid: outcome.pid, adopted: false };
      await throwUnlessTemporary(plan, outcome);
      await sleep(100, undefined, { signal: either });
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (!deadline.aborted) throw error;
    const words = await lastWords(plan.log);
    const why = `postgresql on \`${plan.dataDir}\` was not ready within ${plan.startTimeoutMs} ms, its log \`${plan.log.path}\` ends: ${words}`;
    throw new CardeaError("timeout", why, { cause: error });
  }
}

/** The end of the log in one line; empty when it cannot be read, so as never to hide what is being told. */
export async function lastWords(log: LogFile, fromByte = 0): Promise<string> {
  const lines = await log.lastLines(8, fromByte).catch(() => []);
  return lines.join(" ⏎ ");
}

async function adopt(plan: ServerPlan, signal: AbortSignal): Promise<number | undefined> {
  for (;;) {
    signal.throwIfAborted();
    const found = await findPostmaster(plan.dataDir);
    if (found.kind !== "live") return undefined;
    if (found.status !== "stopping") {
      // Written just before the pid file, so it is the running server's.
      const asPlanned = (await readCommandLine(plan.dataDir)) === commandLine(plan.program, plan.args);
      if (!asPlanned) await shutDown(found.pid, plan.dataDir, plan.limits);
      else if (found.status === "ready" && (await answers(plan))) return found.pid;
    }
    await sleep(20, undefined, { signal });
  }
}

/** Whether what listens where we connect is the server of this data directory. */
async function answers({ connection, dataDir }: ServerPlan): Promise<boolean> {
  const client = new Client({ ...connection, connectionTimeoutMillis: 5_000, query_timeout: 5_000 });
  client.on("error", () => undefined); // a connection that breaks while unused; a query's own failure is seen below
  try {
    await client.connect();
    const { rows } = await client.query<{ dir: string }>("select current_setting('data_directory') as dir");
    return rows[0]?.dir === dataDir;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function start(plan: ServerPlan, signal: AbortSignal): Promise<Launch> {
  await writeAccessRules(plan.dataDir, "host" in plan.listen ? "tcp" : "socket", plan.account);
  await plan.log.rotate();
  return launch({ ...plan, immediateShutdownMs: plan.limits.immediateShutdownMs, signal });
}

async function throwUnlessTemporary(plan: ServerPlan, outcome: Extract<Launch, { kind: "ended" }>): Promise<void> {
  const { listen, log, dataDir } = plan;
  const words = await lastWords(log, outcome.logFrom);
  if (words.includes("Address already in use") && "host" in listen) {
    const remedy = listen.setting === undefined ? "choose another" : `set \`${listen.setting}\` to a free one`;
    const why = `port ${listen.port} on ${listen.host} is taken by another process: end that, or ${remedy}`;
    throw new CardeaError("port_taken", why);
  }
  // Another start came first: it is adopted next. Or sessions of a killed server are still on their way out.
  if (/lock file "postmaster.pid" already exists|pre-existing shared memory block/.test(words)) return;
  const why = `postgresql on \`${dataDir}\` did not start (${outcome.how}), its log \`${log.path}\` ends: ${words}`;
  throw new CardeaError("database_unavailable", why);
}
