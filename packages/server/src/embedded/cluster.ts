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
import { Client } from "pg";
import { serverAccount, type Account } from "./account.ts";
import type { Binaries } from "./binaries.ts";
import { ensureDataDir, readPassword, writeAccessRules } from "./data-dir.ts";
import { launch, type Launch } from "./launch.ts";
import { LogFile } from "./log-file.ts";
import { locateDataDir, locateSocketDir, readableBinaries } from "./placement.ts";
import { commandLine, findPostmaster, isAlive, readCommandLine, shutDown, type ShutdownLimits } from "./postmaster.ts";

/** A private folder for a Unix socket (no password asked), or one address and port (SCRAM), never both. */
export type Listen =
  | { readonly socketDir: string }
  | {
      /** A literal address, such as `127.0.0.1`: a name may stand for several, of which some can fail unseen. */
      readonly host: string;
      readonly port: number;
      /** The setting that the port comes from, named where it is taken: `CARDEA_SAMPLE_PORT`. */
      readonly setting?: string;
    };

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

/** What a `pg` client takes. */
export interface ClusterConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string;
  readonly database: string;
}

const portOfSockets = 5432; // of the file's name only

const ownSettings: Readonly<Record<string, string>> = {
  timezone: "UTC",
  log_timezone: "UTC",
  lc_messages: "C", // failures are recognised by their words
  log_line_prefix: "%m [%p] ",
  password_encryption: "scram-sha-256",
  log_min_error_statement: "panic", // a failed statement may hold a secret
};

const restartBackoffMs = { first: 100, longest: 10_000, forgottenAfter: 60_000 };
const watchEveryMs = 250;
const rotateEveryMs = 60_000;

/**
 * Starts, or adopts, the cluster; answers when it accepts connections.
 * @throws CardeaError `port_taken`, `setting_invalid`, `data_directory_invalid`, `timeout`, or `database_unavailable` with the
 * log's last lines; the signal's reason when it was aborted, after which nothing runs
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  options.signal?.throwIfAborted();
  const { listen } = options;
  if ("host" in listen && isIP(listen.host) === 0) throw new CardeaError("setting_invalid", `\`${listen.host}\` is not a literal address, write for example \`127.0.0.1\``);
  const account = await serverAccount();
  const binaries = await readableBinaries(options.binaries, account);
  const located = await locateDataDir(options.dataDir, account, options.random);
  const socketDir = "socketDir" in listen ? await locateSocketDir(listen.socketDir, account) : undefined;
  await ensureDataDir({ ...options, initTimeoutMs: options.initTimeoutMs ?? 60_000, dataDir: located, binaries, account });
  const dataDir = await realpath(located);
  const cluster = new Cluster(options, { account, binaries, dataDir, socketDir, password: await readPassword(dataDir) });
  await cluster.start(options.signal);
  return cluster;
}

interface Placed {
  readonly account: Account | undefined;
  readonly binaries: Binaries;
  readonly dataDir: string;
  /** Where sockets are, else the cluster is on TCP. */
  readonly socketDir: string | undefined;
  readonly password: string;
}

type State =
  | { readonly kind: "idle" }
  | { readonly kind: "running"; readonly pid: number; readonly adopted: boolean }
  | { readonly kind: "restarting" }
  | { readonly kind: "stopped" };

export class Cluster implements AsyncDisposable {
  readonly #options: ClusterOptions;
  readonly #placed: Placed;
  readonly #log: LogFile;
  readonly #limits: ShutdownLimits;
  readonly #stopping = new AbortController();
  #state: State = { kind: "idle" };
  #failures = 0;
  #supervision: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  /** Only for {@link startCluster}. */
  constructor(options: ClusterOptions, placed: Placed) {
    this.#options = options;
    this.#placed = placed;
    this.#log = new LogFile(options.log.path, options.log.maxBytes ?? 10_000_000);
    this.#limits = { fastShutdownMs: 10_000, immediateShutdownMs: 5_000, ...options.shutdown };
  }

  /** Where the data really is. */
  get dataDir(): string {
    return this.#placed.dataDir;
  }

  /** The server's process; `undefined` between its unexpected end and its restart, and after `stop`. */
  get pid(): number | undefined {
    return this.#state.kind === "running" ? this.#state.pid : undefined;
  }

  /** Whether the running server was started by an earlier supervisor. */
  get adopted(): boolean {
    return this.#state.kind === "running" && this.#state.adopted;
  }

  /** The superuser's way in. The password is missing over the socket, where none is asked. */
  connection(database = "postgres"): ClusterConnection {
    const { socketDir, password } = this.#placed;
    const { listen, superuser: user } = this.#options;
    if ("host" in listen) return { host: listen.host, port: listen.port, user, password, database };
    return { host: socketDir ?? listen.socketDir, port: portOfSockets, user, database };
  }

  /** The superuser's connection string: a secret over TCP. */
  url(database = "postgres"): string {
    const { host, port, user, password } = this.connection(database);
    const name = encodeURIComponent(database);
    if (password === undefined) return `postgresql://${encodeURIComponent(user)}@/${name}?host=${encodeURIComponent(host)}&port=${port}`;
    return `postgresql://${encodeURIComponent(user)}:${password}@${isIP(host) === 6 ? `[${host}]` : host}:${port}/${name}`;
  }

  /** Only for {@link startCluster}. */
  async start(signal: AbortSignal | undefined): Promise<void> {
    const { pid, adopted } = await this.#bringUp(signal);
    this.#state = { kind: "running", pid, adopted };
    this.#supervision = this.#supervise();
  }

  /**
   * Ends the server: fast, then immediate, then by force, each bounded; and the supervision. Idempotent.
   * @throws CardeaError `timeout` when the process cannot be ended
   */
  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      this.#stopping.abort();
      await this.#supervision;
      const { pid } = this;
      this.#state = { kind: "stopped" };
      if (pid !== undefined) await shutDown(pid, this.dataDir, this.#limits);
    })();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Until a server is ready: adopts, waits for one that is on its way down, starts one. */
  async #bringUp(signal: AbortSignal | undefined): Promise<{ pid: number; adopted: boolean }> {
    const limitMs = this.#options.startTimeoutMs ?? 120_000;
    const deadline = AbortSignal.timeout(limitMs);
    const either = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
    try {
      for (;;) {
        either.throwIfAborted();
        const adopted = await this.#adopt(either);
        if (adopted !== undefined) return { pid: adopted, adopted: true };
        const outcome = await this.#launch(either);
        if (outcome.kind === "ready") return { pid: outcome.pid, adopted: false };
        await this.#judge(outcome);
        await sleep(100, undefined, { signal: either });
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!deadline.aborted) throw error;
      throw new CardeaError("timeout", `postgresql on \`${this.dataDir}\` was not ready within ${limitMs} ms, its log \`${this.#log.path}\` ends: ${await this.#lastWords(0)}`, { cause: error });
    }
  }

  /** The pid of a server that already runs as we would start it; one that runs otherwise is ended first. */
  async #adopt(signal: AbortSignal): Promise<number | undefined> {
    for (;;) {
      signal.throwIfAborted();
      const found = await findPostmaster(this.dataDir);
      if (found.kind !== "live") return undefined;
      if (found.status === "stopping") await sleep(20, undefined, { signal });
      else if ((await readCommandLine(this.dataDir)) !== commandLine(this.#placed.binaries.postgres, this.#arguments())) {
        // The file is written just before the pid file, so it is the running server's.
        await shutDown(found.pid, this.dataDir, this.#limits);
      } else if (found.status === "ready" && (await this.#answers())) return found.pid;
      else await sleep(20, undefined, { signal });
    }
  }

  /** Whether what listens where we connect is the server of this data directory. */
  async #answers(): Promise<boolean> {
    const client = new Client({ ...this.connection(), connectionTimeoutMillis: 5_000, query_timeout: 5_000 });
    client.on("error", () => undefined); // a connection that breaks while unused; the query's own failure is seen below
    try {
      await client.connect();
      const { rows } = await client.query<{ dir: string }>("select current_setting('data_directory') as dir");
      return rows[0]?.dir === this.dataDir;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async #launch(signal: AbortSignal): Promise<Launch> {
    const { account, binaries, dataDir } = this.#placed;
    await writeAccessRules(dataDir, this.#placed.socketDir === undefined ? "tcp" : "socket", account);
    await this.#log.rotate();
    return launch({ program: binaries.postgres, args: this.#arguments(), dataDir, account, log: this.#log, limits: this.#limits, signal });
  }

  #arguments(): string[] {
    const { dataDir, socketDir } = this.#placed;
    const { listen } = this.#options;
    const settings: Record<string, string> = {
      ...ownSettings,
      ...this.#options.settings,
      listen_addresses: "host" in listen ? listen.host : "",
      port: String("host" in listen ? listen.port : portOfSockets),
      unix_socket_directories: socketDir === undefined ? "" : `"${socketDir}"`, // quoted: it is a list, and a path may hold a comma
      unix_socket_permissions: "0700",
    };
    return ["-D", dataDir, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
  }

  /** Returns when trying again can help; throws the reason else. */
  async #judge(outcome: Extract<Launch, { kind: "ended" }>): Promise<void> {
    const words = await this.#lastWords(outcome.logFrom);
    const { listen } = this.#options;
    if (words.includes("Address already in use") && "host" in listen) {
      const setting = listen.setting === undefined ? "choose another" : `set \`${listen.setting}\` to a free one`;
      throw new CardeaError("port_taken", `port ${listen.port} on ${listen.host} is taken by another process: end that, or ${setting}`);
    }
    // Another start came first: it is adopted next. Or sessions of a killed server are still on their way out.
    if (/lock file "postmaster.pid" already exists|pre-existing shared memory block/.test(words)) return;
    throw new CardeaError("database_unavailable", `postgresql on \`${this.dataDir}\` did not start (${outcome.how}), its log \`${this.#log.path}\` ends: ${words}`);
  }

  async #lastWords(fromByte: number): Promise<string> {
    return (await this.#log.lastLines(8, fromByte)).join(" ⏎ ");
  }

  /** Watches until `stop`. By looking rather than by the child's exit event, which an adopted server does not have. */
  async #supervise(): Promise<void> {
    const { signal } = this.#stopping;
    let upMs = 0;
    for (;;) {
      await pause(watchEveryMs, signal);
      if (signal.aborted) return;
      upMs += watchEveryMs;
      if (upMs % rotateEveryMs < watchEveryMs) await this.#log.rotate().catch(() => undefined); // a full disk must not end the watch
      if (upMs >= restartBackoffMs.forgottenAfter) this.#failures = 0;
      if (this.#state.kind === "running" && (await isAlive(this.#state.pid))) continue;
      this.#state = { kind: "restarting" };
      await this.#restart(`postgresql on \`${this.dataDir}\` ended unexpectedly, its log ends: ${await this.#lastWords(0)}`, signal);
      upMs = 0;
    }
  }

  async #restart(reason: string, signal: AbortSignal): Promise<void> {
    for (let why = reason; !signal.aborted;) {
      const restartInMs = Math.min(restartBackoffMs.first * 2 ** this.#failures, restartBackoffMs.longest);
      this.#failures = Math.min(this.#failures + 1, 16);
      this.#options.onExit?.({ reason: why, restartInMs });
      await pause(restartInMs, signal);
      try {
        const { pid, adopted } = await this.#bringUp(signal);
        this.#state = { kind: "running", pid, adopted };
        return;
      } catch (error) {
        why = error instanceof Error ? error.message : String(error);
      }
    }
  }
}

/** Waits, not keeping the process alive for it; an abort ends the wait without throwing. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
}
