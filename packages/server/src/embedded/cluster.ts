/**
 * A real PostgreSQL, run and supervised by us: the home of the control plane's state, and of the sample resource.
 *
 * Called by what starts Cardea on one machine. It makes the data directory, starts a server on it or adopts the one that
 * a killed parent left running, restarts it when it dies, and ends it. It knows nothing of what is kept inside, never
 * deletes data, and never runs as root. Two supervisors of one data directory at a time are the caller's to prevent.
 */
import { realpath } from "node:fs/promises";
import { isIP } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Random } from "@cardea/core/lib/random";
import { serverAccount } from "./account.ts";
import type { Binaries } from "./binaries.ts";
import { bringUp, lastWords, type RunningServer, type ServerPlan } from "./bring-up.ts";
import { ensureDataDir, readPassword } from "./data-dir.ts";
import { LogFile } from "./log-file.ts";
import { locateDataDir, locateSocketDir, readableBinaries } from "./placement.ts";
import { isAlive, shutDown, type ShutdownLimits } from "./postmaster.ts";
import { serverArguments, socketPort, type ClusterConnection, type Listen } from "./settings.ts";

export interface ClusterOptions {
  /** Absolute. Made when missing; see `placement.ts` for where it is when root's server account cannot reach it. */
  readonly dataDir: string;
  readonly binaries: Binaries;
  readonly listen: Listen;
  /** Named when the data directory is made; must stay the same. */
  readonly superuser: string;
  readonly log: {
    /** Absolute. The server writes to it by itself, whoever dies. */
    readonly path: string;
    /** Default 10 MB; twice that is kept. */
    readonly maxBytes?: number;
  };
  /** Further server settings, over ours. A running server with others is restarted rather than adopted. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly random: Random;
  /** Where root keeps what its server account cannot reach elsewhere. Default `/var/lib/cardea`. */
  readonly sharedHome?: string;
  /** Default 60,000. */
  readonly initTimeoutMs?: number;
  /** Crash recovery included. Default 120,000. */
  readonly startTimeoutMs?: number;
  /** Default 10,000 for the fast shutdown, 5,000 for the immediate one. */
  readonly shutdown?: Partial<ShutdownLimits>;
  /** Told of every unexpected end, and of every restart that failed. */
  readonly onExit?: (exit: ClusterExit) => void;
  /** Abandons the start. A started cluster is ended by `stop` alone. */
  readonly signal?: AbortSignal;
}

export interface ClusterExit {
  /** What is known of the end; the last lines of the log are part of it. */
  readonly reason: string;
  readonly restartInMs: number;
}

const restartBackoffMs = { first: 100, longest: 10_000, forgottenAfter: 60_000 };
const watchEveryMs = 250;
const rotateEveryMs = 60_000;

/**
 * Starts, or adopts, the cluster; answers when it accepts connections.
 * @throws CardeaError `port_taken`, `setting_invalid`, `data_directory_invalid`, `timeout`, or `database_unavailable` with
 * the log's last lines; the signal's reason when it was aborted. Then nothing that this call started runs
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { signal } = options;
  signal?.throwIfAborted();
  if ("host" in options.listen && isIP(options.listen.host) === 0) {
    const why = `\`${options.listen.host}\` is not a literal address, write for example \`127.0.0.1\``;
    throw new CardeaError("setting_invalid", why);
  }
  const plan = await prepare(options);
  return new Cluster(plan, await bringUp(plan, signal), options.onExit);
}

/** Puts everything in its place, the data directory included. */
async function prepare(options: ClusterOptions): Promise<ServerPlan> {
  const { superuser: user } = options;
  const account = await serverAccount();
  const binaries = await readableBinaries(options.binaries, account, options.sharedHome);
  const located = await locateDataDir(options.dataDir, account, options.random, options.sharedHome);
  const onTcp = "host" in options.listen;
  const listen = onTcp ? options.listen : { socketDir: await locateSocketDir(options.listen.socketDir, account) };
  const initTimeoutMs = options.initTimeoutMs ?? 60_000;
  await ensureDataDir({ ...options, initTimeoutMs, dataDir: located, binaries, account });
  const dataDir = await realpath(located);
  const password = await readPassword(dataDir);
  const way =
    "host" in listen
      ? { host: listen.host, port: listen.port, password }
      : { host: listen.socketDir, port: socketPort };
  return {
    program: binaries.postgres,
    args: serverArguments(dataDir, listen, options.settings ?? {}),
    dataDir,
    account,
    listen,
    connection: { ...way, user, database: "postgres" },
    log: new LogFile(options.log.path, options.log.maxBytes ?? 10_000_000),
    limits: { fastShutdownMs: 10_000, immediateShutdownMs: 5_000, ...options.shutdown },
    startTimeoutMs: options.startTimeoutMs ?? 120_000,
  };
}

/** Supervises from its construction on; the caller ends it with {@link Cluster.stop}. */
export class Cluster implements AsyncDisposable {
  readonly #plan: ServerPlan;
  readonly #onExit: ClusterOptions["onExit"];
  readonly #stopping = new AbortController();
  readonly #supervision: Promise<void>;
  /** `undefined` while there is none: between an unexpected end and the restart, and after `stop`. */
  #server: RunningServer | undefined;
  #failures = 0;
  #stopped: Promise<void> | undefined;

  /** Only for {@link startCluster}. */
  constructor(plan: ServerPlan, server: RunningServer, onExit: ClusterOptions["onExit"]) {
    this.#plan = plan;
    this.#server = server;
    this.#onExit = onExit;
    this.#supervision = this.#supervise();
  }

  /** Where the data really is. */
  get dataDir(): string {
    return this.#plan.dataDir;
  }

  /** The server's process; `undefined` between its unexpected end and its restart, and after `stop`. */
  get pid(): number | undefined {
    return this.#server?.pid;
  }

  /** Whether the running server was started by an earlier supervisor. */
  get adopted(): boolean {
    return this.#server?.adopted ?? false;
  }

  /** The superuser's way in. The password is missing over the socket, where none is asked. */
  connection(database = "postgres"): ClusterConnection {
    return { ...this.#plan.connection, database };
  }

  /** The superuser's connection string: a secret over TCP. */
  url(database = "postgres"): string {
    const { host, port, user, password } = this.#plan.connection;
    const name = encodeURIComponent(database);
    const login = encodeURIComponent(user);
    if (password === undefined) return `postgresql://${login}@/${name}?host=${encodeURIComponent(host)}&port=${port}`;
    return `postgresql://${login}:${password}@${isIP(host) === 6 ? `[${host}]` : host}:${port}/${name}`;
  }

  /**
   * Ends the server (fast, then immediate, then by force, each bounded) and the supervision. Idempotent.
   * @throws CardeaError `timeout` when the process cannot be ended
   */
  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      this.#stopping.abort();
      await this.#supervision;
      const pid = this.#server?.pid;
      this.#server = undefined;
      if (pid !== undefined) await shutDown(pid, this.dataDir, this.#plan.limits);
    })();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Watches until `stop`. By looking rather than by the child's exit event, which an adopted server does not have. */
  async #supervise(): Promise<void> {
    const { signal } = this.#stopping;
    let upMs = 0;
    for (;;) {
      await pause(watchEveryMs, signal);
      if (signal.aborted) return;
      upMs += watchEveryMs;
      if (upMs % rotateEveryMs === 0) await this.#plan.log.rotate().catch(() => undefined); // a full disk must not end the watch
      if (upMs >= restartBackoffMs.forgottenAfter) this.#failures = 0;
      if (this.#server !== undefined && (await isAlive(this.#server.pid))) continue;
      this.#server = undefined;
      await this.#restart(signal);
      upMs = 0;
    }
  }

  async #restart(signal: AbortSignal): Promise<void> {
    let reason = `postgresql on \`${this.dataDir}\` ended unexpectedly, its log ends: ${await lastWords(this.#plan.log)}`;
    while (!signal.aborted) {
      const restartInMs = Math.min(restartBackoffMs.first * 2 ** this.#failures, restartBackoffMs.longest);
      this.#failures = Math.min(this.#failures + 1, 16);
      this.#onExit?.({ reason, restartInMs });
      await pause(restartInMs, signal);
      try {
        this.#server = await bringUp(this.#plan, signal);
        return;
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
      }
    }
  }
}

/** Waits, not keeping the process alive for it; an abort ends the wait without throwing. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
}
