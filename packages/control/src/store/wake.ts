/**
 * Hints that something changed, so that nobody polls on the happy path. Within this process a hint arrives at once after the commit;
 * other processes get it by NOTIFY on a connection of its own. A hint may be lost (a broken connection, a crash): whoever waits also
 * gives a time-out and looks again. Hints carry nothing but the channel's name.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import type { Logger } from "pino";
import type { Random } from "@cardea/core/lib/random";
import { toHex } from "@cardea/core/lib/hex";
import type { Tx } from "../control.ts";
import { afterCommit } from "./transaction.ts";

export const wakeChannels = [
  "audit",
  "audit-soon",
  "log",
  "tasks",
  "requests",
  "grants",
  "people",
  "policy",
  "notifications",
  "recordings",
] as const;
export type WakeChannel = (typeof wakeChannels)[number];

export interface Wake {
  /** With a transaction: once that has committed. Without: now. */
  signal(channel: WakeChannel, tx?: Tx): void;
  /** Resolves at the next hint, after the time-out, or when aborted; never rejects. Start waiting before looking, so that no hint is missed. */
  wait(channel: WakeChannel, timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** Calls the listener at each hint; listeners return at once and never throw. Returns the way to end it. */
  subscribe(channel: WakeChannel, listener: () => void): () => void;
  close(): Promise<void>;
}

interface WakeOptions {
  /** A connection for LISTEN and NOTIFY; left out where one process has the database to itself. */
  readonly connect?: () => Promise<Client>;
  readonly random: Random;
  readonly log: Logger;
}

/** Starts listening in the background; a database that is away delays only hints from other processes. */
export function startWake(options: WakeOptions): Wake {
  const listeners = new Map<WakeChannel, Set<() => void>>(wakeChannels.map((channel) => [channel, new Set()]));
  const tell = (channel: WakeChannel): void => {
    // A copy: a listener that unsubscribes, as every `wait` does, changes the set.
    for (const listener of [...(listeners.get(channel) ?? [])]) listener();
  };
  const others = options.connect === undefined ? undefined : new OtherProcesses(options.connect, options, tell);
  const now = (channel: WakeChannel): void => {
    tell(channel);
    others?.notify(channel);
  };
  const subscribe = (channel: WakeChannel, listener: () => void): (() => void) => {
    listeners.get(channel)?.add(listener);
    return () => void listeners.get(channel)?.delete(listener);
  };
  return {
    signal: (channel, tx) => {
      if (tx === undefined) now(channel);
      else afterCommit(tx, () => now(channel));
    },
    wait: (channel, timeoutMs, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) {
          resolve();
          return;
        }
        const done = (): void => {
          clearTimeout(timer);
          unsubscribe();
          signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, timeoutMs);
        const unsubscribe = subscribe(channel, done);
        signal.addEventListener("abort", done, { once: true });
      }),
    subscribe,
    close: async () => {
      await others?.close();
    },
  };
}

const notifyChannel = "cardea_wake";
const reconnectMs = 1_000;
/** Each process says so often that it is there, and is believed for so long. */
const presentEveryMs = 5_000;
const presentForMs = 12_000;

/**
 * The half of `Wake` that speaks with the other processes: one connection, at most one NOTIFY on its way, the rest gathered meanwhile. A hint costs as
 * much as a small query, so a process that hears of no other sends none. One that comes says so first, and is answered.
 */
class OtherProcesses {
  readonly #connect: () => Promise<Client>;
  readonly #log: Logger;
  readonly #tell: (channel: WakeChannel) => void;
  /** Marks our own hints, which come back to us. */
  readonly #self: string;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  readonly #unsent = new Set<WakeChannel>();
  /** Whether the others are still to be told that this process is there. */
  #present = false;
  #client: Client | undefined;
  /** While others are there; it goes off when they were not heard of for a while. */
  #others: NodeJS.Timeout | undefined;
  /** The NOTIFY on its way, and those that gathered behind it. */
  #sending: Promise<void> | undefined;

  constructor(
    connect: () => Promise<Client>,
    { random, log }: Pick<WakeOptions, "random" | "log">,
    tell: (channel: WakeChannel) => void,
  ) {
    this.#connect = connect;
    this.#log = log;
    this.#tell = tell;
    this.#self = toHex(random.bytes(8));
    this.#running = this.#run();
  }

  notify(channel: WakeChannel): void {
    if (this.#others === undefined) return;
    this.#unsent.add(channel);
    this.#sendSoon();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    await this.#sending;
    clearTimeout(this.#others);
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await this.#listen(signal);
      } catch (error) {
        this.#log.warn({ err: error }, "listening for hints failed; polling goes on");
      }
      await sleep(reconnectMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    const client = await this.#connect();
    const ended = new Promise<void>((resolve) => {
      client.once("end", resolve);
      client.once("error", () => resolve());
      // Closing may have begun while the connection was being made.
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    let presence: NodeJS.Timeout | undefined;
    try {
      // A hint lost in a crash is found by polling, so it need not wait for the disk.
      await client.query("set synchronous_commit = off");
      client.on("notification", ({ payload }) => this.#hear(payload ?? ""));
      await client.query(`listen ${notifyChannel}`);
      this.#client = client;
      // Whatever was told while nobody listened: look at everything once.
      for (const channel of wakeChannels) this.#tell(channel);
      this.#sayPresent();
      presence = setInterval(() => this.#sayPresent(), presentEveryMs);
      await ended;
    } finally {
      clearInterval(presence);
      this.#client = undefined;
      await client.end().catch(() => undefined);
    }
  }

  #hear(payload: string): void {
    const [from, ...channels] = payload.split(" ");
    if (from === this.#self) return;
    const isNew = this.#others === undefined;
    clearTimeout(this.#others);
    this.#others = setTimeout(() => (this.#others = undefined), presentForMs);
    // What happened until now it learns from the database, where whoever comes looks at everything first.
    if (isNew) this.#sayPresent();
    for (const channel of wakeChannels) if (channels.includes(channel)) this.#tell(channel);
  }

  #sendSoon(): void {
    this.#sending ??= this.#send().then(() => {
      this.#sending = undefined;
      if (this.#client !== undefined && this.#hasNews()) this.#sendSoon();
    });
  }

  #hasNews(): boolean {
    return this.#present || this.#unsent.size > 0;
  }

  #sayPresent(): void {
    this.#present = true;
    this.#sendSoon();
  }

  async #send(): Promise<void> {
    try {
      // One commit gives several hints, one after the other: they go together.
      await Promise.resolve();
      for (let client = this.#client; client !== undefined && this.#hasNews(); client = this.#client) {
        const payload = [this.#self, ...this.#unsent].join(" ");
        this.#unsent.clear();
        this.#present = false;
        await client.query("select pg_notify($1, $2)", [notifyChannel, payload]);
      }
    } catch (error) {
      this.#log.warn({ err: error }, "a hint to other processes was not sent; they find out by polling");
    }
  }
}
