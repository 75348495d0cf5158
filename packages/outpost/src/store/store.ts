/**
 * Everything that the outpost must not forget, in one LMDB environment: leases and when each is due, which grants were used, what was seen of
 * policy, roster and log, keys of gateways with their sessions and what those wait with, runs of single actions, resources' sealed configurations,
 * and what is still to be told. Only this process opens it.
 *
 * Every change goes through `write`, whose promise resolves when the change is on the disk; whoever has an effect outside awaits it first.
 * Changes asked for in one turn of the event loop share one transaction and one flush (0.45 ms here), whether one or thousands. The flush
 * happens on the main thread: `overlappingSync` would take it off, but made a single durable change eight times slower (3.6 ms) and lets
 * readers see what a crash of the machine still undoes; the library's asynchronous transactions never called back where this was measured.
 */
import { mkdirSync } from "node:fs";
import { open, type Database, type RootDatabase } from "lmdb";
import { CardeaError } from "@cardea/core/contract/errors";
import type { SealedKey } from "@cardea/core/wire/delivery";
import type { GrantId, LeaseId, ResourceId, SessionId, SubjectId } from "@cardea/core/contract/ids";
import type { Digest } from "@cardea/core/documents/digest";
import type { Policy } from "@cardea/core/documents/policy";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { RosterEntry } from "@cardea/core/documents/roster";
import type { LinkEvent, Receipt } from "@cardea/core/wire/link";
import type { KnownConfiguration } from "../resources/authority.ts";
import type { GrantRecord } from "./grants.ts";
import type { KeyRecord, SessionRecord } from "./keys.ts";
import type { LeaseRecord } from "./leases.ts";
import type { HoldRecord, RunRecord } from "./runs.ts";

/** Counts up when what is stored changes in form. */
const formatVersion = 1;

interface Waiting {
  readonly run: () => void;
  readonly done: () => void;
  readonly fail: (error: unknown) => void;
}

export class Store {
  readonly leases: Database<LeaseRecord, LeaseId>;
  /** `[resource, due, lease]`: for each resource the leases in the order in which something is to be done about them. */
  readonly due: Database<true, [ResourceId, number, LeaseId]>;
  /** `[resource, native name]`: what explains a login found at a resource. */
  readonly names: Database<LeaseId, [ResourceId, string]>;
  readonly grants: Database<GrantRecord, GrantId>;
  /** `[until, grant]`: grants that are over, in the order in which they may be forgotten. */
  readonly over: Database<true, [number, GrantId]>;
  /** `[lane, place]`: receipts before events. */
  readonly spool: Database<Receipt | LinkEvent, [number, number]>;
  readonly configurations: Database<SealedKey, string>;
  /** The newest configuration or removal that the control plane signed for each resource; never forgotten. */
  readonly configured: Database<KnownConfiguration, ResourceId>;
  readonly facts: Database<unknown, string>;
  /** Keys of gateways, by grant. */
  readonly keys: Database<KeyRecord, GrantId>;
  /** `[deadline, grant]`: open keys in the order in which they end. */
  readonly keysDue: Database<true, [number, GrantId]>;
  /** `[grant, session]`. */
  readonly sessions: Database<SessionRecord, [GrantId, SessionId]>;
  /** What keys rest on, by digest. */
  readonly documents: Database<Policy | ResourceSpec, Digest>;
  /** Runs of single actions, by grant. */
  readonly runs: Database<RunRecord, GrantId>;
  /** Actions that sessions wait with, by the nonce of what was asked. */
  readonly holds: Database<HoldRecord, string>;
  /** The people of the newest roster, as far as they were proven. */
  readonly people: Database<RosterEntry, SubjectId>;
  readonly #root: RootDatabase;
  readonly #listeners = new Set<() => void>();
  #waiting: Waiting[] = [];
  #closed = false;

  private constructor(root: RootDatabase) {
    this.#root = root;
    this.leases = root.openDB({ name: "leases" });
    this.due = root.openDB({ name: "due" });
    this.names = root.openDB({ name: "names" });
    this.grants = root.openDB({ name: "grants" });
    this.over = root.openDB({ name: "over" });
    this.spool = root.openDB({ name: "spool" });
    this.configurations = root.openDB({ name: "configurations" });
    this.configured = root.openDB({ name: "configured" });
    this.facts = root.openDB({ name: "facts" });
    this.keys = root.openDB({ name: "keys" });
    this.keysDue = root.openDB({ name: "keys-due" });
    this.sessions = root.openDB({ name: "sessions" });
    this.documents = root.openDB({ name: "documents" });
    this.runs = root.openDB({ name: "runs" });
    this.holds = root.openDB({ name: "holds" });
    this.people = root.openDB({ name: "people" });
  }

  /** Opens or makes the store in this directory (0700). @throws CardeaError `data_directory_invalid`, `store_failed` */
  static open(directory: string): Store {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    let store: Store;
    try {
      store = new Store(open({ path: directory, noSubdir: false, overlappingSync: false, maxDbs: 32 }));
    } catch (error) {
      throw new CardeaError("store_failed", `the store in \`${directory}\` cannot be opened`, { cause: error });
    }
    const found = store.facts.get("format");
    if (found === undefined) store.facts.putSync("format", formatVersion);
    else if (found !== formatVersion) {
      throw new CardeaError(
        "data_directory_invalid",
        `the store in \`${directory}\` has format \`${JSON.stringify(found)}\`, and this version reads \`${String(formatVersion)}\`; start the version that made it`,
      );
    }
    return store;
  }

  /**
   * Runs the action inside the next transaction, where it reads and writes the tables synchronously (`putSync`, `removeSync`), and resolves
   * with its result once that is durable. An action that throws changes nothing, and spoils nothing for the others.
   * @throws CardeaError `store_failed` where the disk does not take it; then nothing of it has happened
   */
  write<T>(action: () => T): Promise<T> {
    if (this.#closed) return Promise.reject(new CardeaError("store_failed", "the store is closed"));
    return new Promise<T>((resolve, reject) => {
      let result: { readonly value: T } | undefined;
      if (this.#waiting.length === 0) setImmediate(() => this.#commit());
      this.#waiting.push({
        run: () => void (result = { value: action() }),
        done: () => (result === undefined ? reject(new TypeError("the action did not run")) : resolve(result.value)),
        fail: reject,
      });
    });
  }

  /** Calls the listener after each transaction; it must be quick. Returns the way to end it. */
  onCommit(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Commits what waits and closes. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#commit();
    this.#closed = true;
    await this.#root.close();
  }

  #commit(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    if (batch.length === 0) return;
    if (this.#tryCommit(batch) !== undefined) {
      // One of them threw or could not be stored: each gets a transaction of its own, and its own answer.
      for (const one of batch) {
        const failure = this.#tryCommit([one]);
        if (failure !== undefined) one.fail(failure.error);
        else one.done();
      }
    } else for (const one of batch) one.done();
    for (const listener of this.#listeners) listener();
  }

  #tryCommit(batch: readonly Waiting[]): { readonly error: unknown } | undefined {
    let thrown: { readonly error: unknown } | undefined;
    try {
      this.#root.transactionSync(() => {
        for (const { run } of batch) {
          try {
            run();
          } catch (error) {
            thrown = { error };
            throw error;
          }
        }
      });
      return undefined;
    } catch (error) {
      return (
        thrown ?? {
          error: new CardeaError("store_failed", "the store cannot be written; is the disk full?", { cause: error }),
        }
      );
    }
  }
}
