/**
 * The control plane's one database. `server` opens it and closes it last; everything else gets the `Kysely` inside `Control`.
 * Long-lived duties (the audit writer's lock, `listen`) take a connection of their own, so that a pool's recycling never ends them.
 */
import { Kysely, PostgresDialect } from "kysely";
import { Client, Pool, types, type ClientConfig } from "pg";
import type { Logger } from "pino";
import { CardeaError } from "@cardea/core/contract/errors";
import { toTime } from "@cardea/core/documents/primitives";
import type { Database } from "./database.ts";
import { preparing } from "./prepared.ts";

export interface DatabaseSettings {
  /** `postgresql://…`, or the fields of one (`host` may be the directory of a Unix socket). */
  readonly connection: string | Pick<ClientConfig, "host" | "port" | "database" | "user" | "password" | "ssl">;
  /** Connections of the pool. Default 10. Two more are opened beside it for the audit writer and for hints. */
  readonly maxConnections?: number;
}

export interface OpenDatabase {
  readonly db: Kysely<Database>;
  readonly pool: Pool;
  /** A connection outside the pool; whoever asked for it ends it. @throws CardeaError `database_unavailable` */
  readonly connect: () => Promise<Client>;
  close(): Promise<void>;
}

const connectTimeoutMs = 5_000;
/** No statement of ours is meant to take longer; what does is stopped by the server. */
const statementTimeoutMs = 30_000;
const lockTimeoutMs = 10_000;
const idleInTransactionTimeoutMs = 60_000;

/** Connects lazily: the first query fails with `database_unavailable` where nobody answers. */
export function openDatabase(settings: DatabaseSettings, log: Logger): OpenDatabase {
  const config: ClientConfig = {
    ...(typeof settings.connection === "string" ? { connectionString: settings.connection } : settings.connection),
    application_name: "cardea-control",
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
    keepAlive: true,
    types: { getTypeParser },
  };
  const pool = new Pool({ ...config, max: settings.maxConnections ?? 10 });
  // A pooled connection that breaks while idle is replaced by the next query; unheard, its error would end the process.
  pool.on("error", (error) => log.warn({ err: error }, "an idle database connection broke"));
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool: preparing(pool) }) });
  return {
    db,
    pool,
    connect: async () => {
      const client = new Client(config);
      client.on("error", (error) => log.warn({ err: error }, "a dedicated database connection broke"));
      await client.connect().catch((error: unknown) => {
        throw databaseFault(error) ?? error;
      });
      return client;
    },
    close: () => db.destroy(),
  };
}

type ParseText = (text: string) => unknown;

/** `bigint` columns arrive as numbers (all of ours stay below 2^53), `timestamptz` as the `Time` of our documents. */
const parsers: Readonly<Record<number, ParseText>> = {
  [types.builtins.INT8]: safeInteger,
  [types.builtins.TIMESTAMPTZ]: (text) => toTime(parseTimestamp(text).getTime()),
};

// pg declares its parsers as `any`; this one makes a `Date` of the text.
const parseTimestamp = types.getTypeParser(types.builtins.TIMESTAMPTZ, "text") as (text: string) => Date;

// pg declares one overload for each format; we ask for texts only, and hand every other type to pg's own parsers.
const getTypeParser = ((oid: Parameters<typeof types.getTypeParser>[0], format?: "text"): ParseText =>
  parsers[oid] ?? (types.getTypeParser(oid, format) as ParseText)) as typeof types.getTypeParser;

function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value))
    throw new RangeError(`the stored number \`${text}\` exceeds what a number can hold`);
  return value;
}

/** SQLSTATE classes and codes of a server that is away, starting, stopping or full. */
const unavailableStates = /^(?:08|57P0[1-5]|53)/;
const unavailableErrors = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOENT",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
]);
const unavailableWords =
  /^(?:Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/;

/** A lock or a statement that took longer than it may. */
const tooLongStates = new Set(["55P03", "57014"]);

/** The fault behind an error of pg where the database is away or too slow; `undefined` for every other error. */
export function databaseFault(error: unknown): CardeaError | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const away = unavailableStates.test(code) || unavailableErrors.has(code) || unavailableWords.test(error.message);
  if (tooLongStates.has(code))
    return new CardeaError("timeout", "the database took too long; try again", { cause: error });
  return away ? new CardeaError("database_unavailable", "the database cannot be reached", { cause: error }) : undefined;
}
