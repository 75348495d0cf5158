/**
 * The resource's server as the provider sees it: connections to each database, and certainty about what its own earlier connections
 * may still be doing.
 *
 * A `CREATE ROLE` that was sent and never answered can commit at any later moment, even after somebody looked and found nothing: the
 * process that sent it may be dead, the server reads on. So every connection bears our tag, the provider's instance and a number of
 * its own as `application_name`; a connection lost with its answer outstanding is remembered, and `settle` ends its backend and waits
 * until it is gone. Only then does "there is no such login" mean what it says.
 */
import { isIP } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { ConnectionOptions } from "node:tls";
import { z } from "zod";
import { OutsideError } from "@cardea/core/contract/errors";
import { toBase32 } from "@cardea/core/lib/base32";
import { hmacSha256 } from "@cardea/core/lib/crypto";
import type { ProviderHost } from "../../connector.ts";
import type { PostgresConfig } from "../spec/config.ts";
import { Connection, timeLimits, type Rows, type TimeLimits } from "./connection.ts";
import { isContended } from "./faults.ts";
import { Pool } from "./pool.ts";
import { quoteLiteral, quoteTexts } from "./quoting.ts";

/** Connections at once to the first database, where logins are made, and to each other one. */
const homeConnections = 8;
const otherConnections = 2;

/** How often a call that met another one is made again before it fails. */
const maxAttempts = 8;

/** A connection apart. */
export interface ApartOptions {
  readonly database: string;
  /** Default: the administrator. */
  readonly login?: { readonly user: string; readonly secret: string } | undefined;
  readonly settings?: Readonly<Record<string, string | undefined>> | undefined;
  readonly limits?: TimeLimits | undefined;
}

export class Server {
  /** The database in which logins and bundles are made and ended. */
  readonly home: string;
  readonly databases: readonly string[];
  readonly #config: PostgresConfig;
  readonly #host: ProviderHost;
  readonly #limits: TimeLimits;
  readonly #tag: string;
  readonly #instance: string;
  readonly #pools = new Map<string, Pool>();
  /** Names of connections that were lost while what they had been sent may still run. */
  readonly #doubtful = new Set<string>();
  #earlierAreGone = false;
  #connections = 0;

  constructor(config: PostgresConfig, host: ProviderHost, limits: TimeLimits = timeLimits) {
    this.#config = config;
    this.#host = host;
    this.#limits = limits;
    this.databases = config.connect.databases;
    // The schema demands one.
    this.home = this.databases[0] ?? "postgres";
    this.#tag = `cardea ${toBase32(hmacSha256(host.markKey, new TextEncoder().encode("cardea/connection/v1"))).slice(0, 10)}`;
    this.#instance = toBase32(host.random.bytes(5));
  }

  /** One round trip in a database that changes nothing. */
  async read(database: string, sql: string, signal: AbortSignal): Promise<readonly Rows[]> {
    return this.use(database, signal, (connection) => connection.run(sql, "read", signal));
  }

  /** One round trip that changes something; made again where it only met another session. */
  async change(database: string, sql: string, signal: AbortSignal): Promise<readonly Rows[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.use(database, signal, (connection) => this.changeOn(connection, sql, signal));
      } catch (error) {
        if (attempt === maxAttempts || !isContended(error)) throw error;
        await pause(attempt * 5, signal);
      }
    }
  }

  /** As `change`, on a connection in hand and once. */
  async changeOn(connection: Connection, sql: string, signal: AbortSignal): Promise<readonly Rows[]> {
    try {
      return await connection.run(sql, "change", signal);
    } catch (error) {
      if (error instanceof OutsideError && error.effect === "maybe") this.#doubtful.add(connection.name);
      throw error;
    }
  }

  /** Lends a connection to a database; the first to come waits for no one but those who came before. */
  async use<T>(database: string, signal: AbortSignal, use: (connection: Connection) => Promise<T>): Promise<T> {
    let pool = this.#pools.get(database);
    if (pool === undefined) {
      const max = database === this.home ? homeConnections : otherConnections;
      pool = new Pool((opening) => this.#connect(database, opening), max);
      this.#pools.set(database, pool);
    }
    return pool.use(signal, use);
  }

  /**
   * Makes sure that nothing is under way at the server which an earlier call or an earlier process began: ends those backends and waits
   * until none is seen. Costs nothing when there is no doubt. What has been committed by then is visible to who looks afterwards.
   */
  async settle(signal: AbortSignal): Promise<void> {
    for (let round = 0; this.#doubtful.size > 0 || !this.#earlierAreGone; round++) {
      const doubtful = [...this.#doubtful];
      // Only who came before us: a dead process's last `settle` must not end the connections of its successor.
      const earlier = this.#earlierAreGone
        ? "false"
        : `other.backend_start < own.backend_start and other.application_name like ${quoteLiteral(`${this.#tag} %`)} and other.application_name not like ${quoteLiteral(`${this.#tag} ${this.#instance} %`)}`;
      const [rows] = await this.read(
        this.home,
        `select pg_terminate_backend(other.pid) from pg_stat_activity own join pg_stat_activity other using (usesysid)
          where own.pid = pg_backend_pid() and (other.application_name = any(${quoteTexts(doubtful)}) or ${earlier})`,
        signal,
      );
      if ((rows ?? []).length === 0) {
        for (const name of doubtful) this.#doubtful.delete(name);
        this.#earlierAreGone = true;
      } else {
        await pause(Math.min(2 ** round, 200), signal);
      }
    }
  }

  /**
   * A connection apart from the others, which the caller closes: the administrator's, or that of a login, with settings and time limits of its own.
   * What is lost on it is not looked after by `settle`.
   */
  async open(
    { database, login, settings, limits = this.#limits }: ApartOptions,
    signal: AbortSignal,
  ): Promise<Connection> {
    return this.#connect(database, signal, { login, settings, limits });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
    this.#pools.clear();
  }

  async #connect(
    database: string,
    signal: AbortSignal,
    { login, settings, limits }: Omit<ApartOptions, "database"> = {},
  ): Promise<Connection> {
    const { host, port, user, password } = this.#config.connect;
    this.#connections += 1;
    const name = `${this.#tag} ${this.#instance} ${this.#connections}`;
    const administrator = async (): Promise<string> =>
      password === undefined ? "" : await this.#host.secret(password);
    return Connection.open(
      {
        host,
        port,
        database,
        user: login?.user ?? user,
        password: login?.secret ?? (await administrator()),
        ssl: await tlsOptions(this.#config.connect, this.#host),
        name,
        limits: limits ?? this.#limits,
        ...(settings === undefined ? {} : { settings }),
      },
      signal,
    );
  }
}

/** The TLS options of a connection to the server; `false` where it is not encrypted. */
export async function tlsOptions(
  connect: PostgresConfig["connect"],
  { secret }: Pick<ProviderHost, "secret">,
): Promise<false | ConnectionOptions> {
  const { host, tls } = connect;
  const mode = tlsMode(connect);
  if (mode === "disable") return false;
  const ca = tls?.ca === undefined ? {} : { ca: await secret(tls.ca) };
  switch (mode) {
    case "require":
      return { rejectUnauthorized: false, ...ca };
    case "verify-ca":
      return { rejectUnauthorized: true, checkServerIdentity: () => undefined, ...ca };
    case "verify-full":
      return { rejectUnauthorized: true, ...(isIP(host) === 0 ? { servername: host } : {}), ...ca };
  }
}

/** How a connection is protected where the configuration does not say: always, but to this very machine. */
export function tlsMode(connect: PostgresConfig["connect"]): "disable" | "require" | "verify-ca" | "verify-full" {
  if (connect.tls !== undefined) return connect.tls.mode;
  const local = connect.host.startsWith("/") || ["localhost", "127.0.0.1", "::1"].includes(connect.host);
  return local ? "disable" : "verify-full";
}

/** Waits; an abort ends it as a cancelled call that changed nothing more. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {
    throw new OutsideError("cancelled", "maybe", "cancelled while waiting");
  });
}

/** Reads the rows of one statement. @throws ZodError where the statement answers something else than it was written to */
export function rowsOf<T>(schema: z.ZodType<T>, rows: Rows | undefined): readonly T[] {
  return z.array(schema).parse(rows ?? []);
}
