/** A few connections to one database, opened when needed, closed when idle for a while. First come, first served. */
import { OutsideError } from "@cardea/core/contract/errors";
import type { Connection } from "./connection.ts";

const idleMs = 30_000;

export class Pool {
  readonly #connect: (signal: AbortSignal) => Promise<Connection>;
  readonly #max: number;
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(connect: (signal: AbortSignal) => Promise<Connection>, max: number) {
    this.#connect = connect;
    this.#max = max;
  }

  /** Lends a connection for the time of `use`. It must come back outside a transaction and without changed settings. */
  async use<T>(signal: AbortSignal, use: (connection: Connection) => Promise<T>): Promise<T> {
    await this.#turn(signal);
    try {
      const connection = await this.#take(signal);
      try {
        return await use(connection);
      } finally {
        this.#giveBack(connection);
      }
    } finally {
      this.#leave();
    }
  }

  /** Closes what is idle now and the rest when it comes back. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    await Promise.all([...this.#all].map((connection) => connection.close()));
    this.#all.clear();
    this.#idle.length = 0;
  }

  async #turn(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw cancelled();
    if (this.#busy < this.#max) {
      this.#busy += 1;
      return;
    }
    await new Promise<void>((wake, fail) => {
      const abort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1);
        fail(cancelled());
      };
      const turn = (): void => {
        signal.removeEventListener("abort", abort);
        wake();
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#waiting.push(turn);
    });
  }

  /** The next in line takes over the place of who is leaving, so nobody can slip in between. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy -= 1;
    else next();
  }

  async #take(signal: AbortSignal): Promise<Connection> {
    for (let found = this.#idle.pop(); found !== undefined; found = this.#idle.pop()) {
      if (found.open) return found;
      this.#all.delete(found);
    }
    const connection = await this.#connect(signal);
    this.#all.add(connection);
    return connection;
  }

  #giveBack(connection: Connection): void {
    if (!connection.open) {
      this.#all.delete(connection);
      return;
    }
    this.#idle.push(connection);
    // The whole pool goes when none of it was wanted for a while: a resource that is seldom asked for costs it nothing.
    clearTimeout(this.#sweeper);
    this.#sweeper = setTimeout(() => this.#sweep(), idleMs);
    this.#sweeper.unref();
  }

  #sweep(): void {
    for (const connection of this.#idle.splice(0)) {
      this.#all.delete(connection);
      connection.close().catch(() => undefined);
    }
  }
}

function cancelled(): OutsideError {
  return new OutsideError("cancelled", "none", "cancelled before anything was sent");
}
