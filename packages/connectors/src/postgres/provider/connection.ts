/**
 * One connection to the server as the administrator. Every connection bears a name of its own in `application_name`, by which another
 * connection can find its backend and make sure that it is gone. All names in SQL text are written with their schema or quoted by
 * `quoting.ts`; `search_path` is pinned, so that nothing a user made can stand in for a catalogue's function.
 */
import { Socket } from "node:net";
import { Client, type ClientConfig, type QueryResult } from "pg";
import { CardeaError, OutsideError } from "@cardea/core/contract/errors";
import { ExactStatement, tooLarge, type ExactAnswer, type ExactText } from "./exact-statement.ts";
import { ServerFault, toFault, type Phase } from "./faults.ts";

/** How long each part may take, in milliseconds. */
export interface TimeLimits {
  readonly connectMs: number;
  /** The server gives a statement up after this. */
  readonly statementMs: number;
  /** The server stops waiting for a lock after this. */
  readonly lockMs: number;
  /** We give the connection up after this; longer than `statementMs`. */
  readonly answerMs: number;
}

export const timeLimits: TimeLimits = { connectMs: 5_000, statementMs: 10_000, lockMs: 3_000, answerMs: 12_000 };

export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly ssl: Exclude<ClientConfig["ssl"], undefined>;
  /** At most 63 bytes, ASCII. */
  readonly name: string;
  readonly limits: TimeLimits;
  /** In place of what is pinned; `undefined`: as the server has it for this login. */
  readonly settings?: Readonly<Record<string, string | undefined>>;
}

/** Settings that other parties' defaults (of the database, of the role) must not change under us. */
const pinned = {
  search_path: "pg_catalog",
  standard_conforming_strings: "on",
  default_transaction_read_only: "off",
  default_transaction_isolation: "read committed",
  // A login whose removal was reported must not be back after the server's crash.
  synchronous_commit: "on",
};

export class Connection {
  readonly name: string;
  readonly #client: Client;
  readonly #socket: Socket;
  readonly #server: string;
  readonly #answerMs: number;
  #open = true;

  private constructor(options: ConnectionOptions, client: Client, socket: Socket) {
    this.name = options.name;
    this.#client = client;
    this.#socket = socket;
    this.#server = serverWords(options);
    this.#answerMs = options.limits.answerMs;
    client.on("end", () => (this.#open = false));
  }

  /** Connects and signs in. @throws OutsideError with effect `none` */
  static async open(options: ConnectionOptions, signal: AbortSignal): Promise<Connection> {
    const socket = new Socket();
    const client = new Client(clientConfig(options, socket));
    // Without a listener, a connection that dies while idle would end the process.
    client.on("error", () => socket.destroy());
    const connection = new Connection(options, client, socket);
    await connection.#bounded(() => client.connect(), options.limits.connectMs, "connect", signal);
    return connection;
  }

  get open(): boolean {
    return this.#open && !this.#socket.destroyed;
  }

  /**
   * Runs SQL text by the simple protocol: one statement or several, one round trip; without `begin` several are one transaction.
   * Answers the rows of each statement in order. A failed or aborted call of the phase `change` may have been done (`effect: maybe`)
   * and then the connection is no longer open; else a failed call leaves no transaction behind.
   */
  async run(sql: string, phase: Exclude<Phase, "connect">, signal: AbortSignal): Promise<readonly Rows[]> {
    if (!this.open)
      throw new OutsideError("resource_unreachable", "none", `${this.#server}: the connection was closed`);
    try {
      const results = await this.#bounded(
        // Several statements answer several results, which the types of `pg` do not say.
        () => this.#client.query(sql) as Promise<QueryResult | QueryResult[]>,
        this.#answerMs,
        phase,
        signal,
      );
      return (Array.isArray(results) ? results : [results]).map((result): Rows => result.rows);
    } catch (error) {
      await this.rollBack(signal);
      throw error;
    }
  }

  /**
   * Runs one statement exactly as it is written, by the extended protocol; fails as `run` does, and with `result_too_large`, which ends the
   * connection. `limitMs`: how long it may take, in place of what the connection allows.
   */
  async send(
    statement: ExactText,
    phase: Exclude<Phase, "connect">,
    signal: AbortSignal,
    { maxBytes = 16 * 1_048_576, limitMs = this.#answerMs }: { maxBytes?: number; limitMs?: number } = {},
  ): Promise<ExactAnswer> {
    if (!this.open)
      throw new OutsideError("resource_unreachable", "none", `${this.#server}: the connection was closed`);
    const before = this.#socket.bytesRead;
    try {
      return await this.#bounded(
        () =>
          new Promise<ExactAnswer>((done, failed) => {
            // A single row is seen only once all of it has come.
            const watch = setInterval(() => {
              if (this.#socket.bytesRead - before > 4 * maxBytes) settle(() => failed(tooLarge(maxBytes)));
            }, 20);
            const settle = (then: () => void): void => {
              clearInterval(watch);
              then();
            };
            this.#client.query(
              new ExactStatement(statement, maxBytes, {
                done: (answer) => settle(() => done(answer)),
                failed: (error) => settle(() => failed(error)),
              }),
            );
          }),
        limitMs,
        phase,
        signal,
      );
    } catch (error) {
      await this.rollBack(signal);
      throw error;
    }
  }

  /** Ends a transaction that is still open, without effect; else the connection. Never throws. */
  async rollBack(signal: AbortSignal): Promise<void> {
    if (!this.open) return;
    try {
      // `pg` reports an error before the server has said in which state it is now; the answer to an empty statement comes after that.
      await this.#bounded(() => this.#client.query(""), this.#answerMs, "read", signal);
      if (this.#client.getTransactionStatus() === "I") return;
      await this.#bounded(() => this.#client.query("rollback"), this.#answerMs, "read", signal);
    } catch {
      this.destroy();
    }
  }

  /** Says good-bye to the server, or at least closes the socket. Never throws. */
  async close(): Promise<void> {
    this.#open = false;
    const timer = setTimeout(() => this.destroy(), 1_000);
    await this.#client.end().catch(() => undefined);
    clearTimeout(timer);
    this.destroy();
  }

  /** Drops the socket; what was sent may still be done by the server. */
  destroy(): void {
    this.#open = false;
    this.#socket.destroy();
  }

  async #bounded<T>(call: () => Promise<T>, limitMs: number, phase: Phase, signal: AbortSignal): Promise<T> {
    if (signal.aborted)
      throw new OutsideError("cancelled", "none", `${this.#server}: cancelled before anything was sent`);
    const effect = phase === "change" ? "maybe" : "none";
    let given: OutsideError | undefined;
    const giveUp = (reason: OutsideError): void => {
      given ??= reason;
      this.destroy();
    };
    const abort = (): void => giveUp(new OutsideError("cancelled", effect, `${this.#server}: cancelled`));
    const timer = setTimeout(
      () => giveUp(new OutsideError("resource_timeout", effect, `${this.#server}: no answer in ${limitMs} ms`)),
      limitMs,
    );
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await call();
    } catch (error) {
      const fault = given ?? (error instanceof CardeaError ? error : toFault(error, phase, this.#server));
      // After FATAL nothing more comes; a fault of the wire leaves the protocol's state unknown.
      const goesOn = fault instanceof ServerFault && fault.sqlState !== undefined && fault.effect === "none";
      if (phase === "connect" || !goesOn) this.destroy();
      throw fault;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }
}

/** The rows of one statement. Their form is whatever the statement says: read them with a schema. */
export type Rows = readonly unknown[];

function serverWords(options: ConnectionOptions): string {
  return `\`${options.database}\` at ${options.host}:${options.port}`;
}

function clientConfig(options: ConnectionOptions, socket: Socket): ClientConfig {
  const { statementMs, lockMs } = options.limits;
  const settings: Readonly<Record<string, string | undefined>> = {
    ...pinned,
    statement_timeout: String(statementMs),
    lock_timeout: String(lockMs),
    idle_in_transaction_session_timeout: String(statementMs),
    ...options.settings,
  };
  return {
    host: options.host,
    port: options.port,
    database: options.database,
    user: options.user,
    // As a function, because `pg` takes the environment's password in place of an empty one.
    password: () => options.password,
    ssl: options.ssl,
    application_name: options.name,
    options: Object.entries(settings)
      .flatMap(([setting, value]) =>
        value === undefined ? [] : [`-c ${setting}=${value.replaceAll(/[\\\s]/g, "\\$&")}`],
      )
      .join(" "),
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    stream: () => socket,
  };
}
