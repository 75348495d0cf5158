/**
 * The audit writer. One process at a time holds its lock and gives queued events their places in the log: it takes what has queued up, hashes
 * it into the tree, signs the new head and stores entries, tiles and head in one commit; the next batch is what came in meanwhile, so
 * that a lone event waits for nobody and a thousand share one commit. It starts from the stored tiles every time it gets the lock, and goes
 * on only if they add up to the signed head and continue what was published. It never changes or removes an entry.
 *
 * A crash before the commit leaves the queue as it was. A crash after it leaves files that are behind; the next writer brings them up.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { leafBytes, commitTo, type AuditLeaf } from "@cardea/core/documents/audit-leaf";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { toTime } from "@cardea/core/documents/primitives";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { signCheckpoint } from "@cardea/core/log/checkpoint";
import { leafHash } from "@cardea/core/log/merkle";
import { noteSigner, type NoteSigner } from "@cardea/core/log/note";
import { parseTilePath, type Tile } from "@cardea/core/log/tiles";
import { verifyGrowth } from "@cardea/core/log/verify";
import { append, emptyLog, restore, type LogState } from "@cardea/core/log/writer";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Control } from "../control.ts";
import {
  appendBatch,
  ensurePartitions,
  manyPending,
  maybeOneLogHead,
  tryWriterLock,
  type Batch,
  type LogHead,
  type NewEntry,
  type QueuedEvent,
} from "../store/log.ts";
import { LogFiles } from "./files.ts";
import { logGuard, rolledBack, type LogGuard } from "./guard.ts";
import { isQueuedByUs, type QueuedFields } from "./record.ts";
import { rememberTiles, tileFetcher } from "./tile.ts";

export interface Sequencer {
  /** Finishes the batch at hand, gives the lock back and waits for the files. What is queued stays queued. */
  close(): Promise<void>;
}

/** Events in one commit at most: it bounds memory and how long a crash's batch takes to repeat. */
const maxBatch = 2_000;
/** So long what nobody waits for gathers: a head costs about as much as fifty entries. */
const gatherMs = 20;
/** How long until another process takes over after a crash, at most; and how late a lost hint is noticed. */
const pollMs = 1_000;
const faultPauseMs = 1_000;

/**
 * Starts in the background; never throws. Every process runs one, and the one that holds the lock works.
 * @param connect gives a connection outside the pool, whose end gives the lock back
 */
export function startSequencer(control: Control, connect: () => Promise<Client>): Sequencer {
  const closing = new AbortController();
  const running = run(control, connect, closing.signal);
  return {
    close: async () => {
      closing.abort();
      await running;
    },
  };
}

async function run(control: Control, connect: () => Promise<Client>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await holdOnce(control, connect, signal);
    } catch (error) {
      const stopped = error instanceof CardeaError && error.code === "log_rolled_back";
      control.log.error(
        { err: error },
        stopped
          ? "the log was rolled back: nothing is issued until it is resolved"
          : "the audit writer failed; it tries again",
      );
      await pause(control, faultPauseMs, signal);
    }
  }
}

/** Waits for the lock and works for as long as it holds it. */
async function holdOnce(control: Control, connect: () => Promise<Client>, signal: AbortSignal): Promise<void> {
  const client = await connect();
  const files = new LogFiles(control.settings.logDirectory, control.log);
  try {
    while (!(await tryWriterLock(client))) {
      await pause(control, pollMs, signal);
      if (signal.aborted) return;
    }
    const guard = await logGuard(control);
    const writer = new Writer(control, client, guard, files, await resume(control, guard, files));
    while (!signal.aborted) {
      // Waiting starts before looking, so that an event that commits in between is not slept over.
      const woken = nextEvents(control, signal);
      const taken = await writer.sequence();
      if (taken < maxBatch) await woken;
    }
  } finally {
    await client.end().catch(() => undefined);
    await files.flush();
  }
}

/** Resolves at once when somebody waits for an event to be in the log, a little later when others came, else when it is time to look. */
async function nextEvents(control: Control, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  const either = AbortSignal.any([signal, done.signal]);
  const soon = control.wake
    .wait("audit-soon", pollMs, either)
    .then(() => sleep(gatherMs, undefined, { signal: either }));
  await Promise.race([control.wake.wait("audit", pollMs, either), soon.catch(() => undefined)]);
  done.abort();
}

/** The state behind the stored head, after making sure that it is ours and continues what was published. */
async function resume(control: Control, guard: LogGuard, files: LogFiles): Promise<LogState> {
  try {
    const state = await restoreWhole(control, guard, files);
    guard.altered = undefined;
    return state;
  } catch (error) {
    if (error instanceof CardeaError && error.code === "log_rolled_back") guard.altered = error;
    throw error;
  }
}

async function restoreWhole(control: Control, guard: LogGuard, files: LogFiles): Promise<LogState> {
  const published = guard.highest;
  const head = await maybeOneLogHead(control.db);
  const checkpoint = guard.accept(head, published);
  if (head === undefined || checkpoint === undefined) return emptyLog;
  const fetch = tileFetcher(control);
  if (published !== undefined) {
    const grown = await verifyGrowth(fetch, published, checkpoint);
    if (!grown.ok) throw rolledBack(`it does not continue the published one: ${grown.detail}`);
  }
  const restored = await restore(fetch, checkpoint);
  if (!restored.ok) throw rolledBack(`its newest entries are not those that were signed: ${restored.detail}`);
  await files.catchUp(published?.size ?? 0, head, fetch);
  return restored.value;
}

async function pause(control: Control, ms: number, signal: AbortSignal): Promise<void> {
  await control.wake.wait("log", ms, signal);
}

class Writer {
  readonly #control: Control;
  readonly #client: Client;
  readonly #guard: LogGuard;
  readonly #files: LogFiles;
  readonly #signer: NoteSigner;
  #state: LogState;
  /** Partitions exist for indexes below this. */
  #partitionedBelow = 0;

  constructor(control: Control, client: Client, guard: LogGuard, files: LogFiles, state: LogState) {
    this.#control = control;
    this.#client = client;
    this.#guard = guard;
    this.#files = files;
    this.#state = state;
    this.#signer = noteSigner(guard.identity.key.name, control.keys.log.seed);
    if (this.#signer.id !== guard.identity.key.id)
      throw new CardeaError("setting_invalid", "the log key is not the one that the trust document pins");
  }

  /** Sequences what is queued; how many rows that were. */
  async sequence(): Promise<number> {
    const queued = await manyPending(this.#client, maxBatch);
    if (queued.length === 0) return 0;
    const entries = queued.filter((row) => !row.sequenced).map((row) => this.#entryOf(row));
    const from = this.#state.frontier.size;
    const appended = append(
      this.#state,
      entries.map(({ bytes }) => bytes),
    );
    if (!appended.ok) throw new CardeaError("internal", `the log cannot take these entries: ${appended.detail}`);
    const { head, tiles, state } = appended.value;
    const stored: LogHead = {
      size: head.size,
      checkpoint: signCheckpoint({ origin: this.#guard.identity.origin, ...head, extensions: [] }, this.#signer),
    };
    await this.#partition(from, head.size);
    const batch: Batch = {
      from,
      entries: entries.map(({ entry }) => entry),
      tiles: tiles.flatMap(upperTile),
      head: { ...stored, at: toTime(this.#control.clock.now()) },
      done: queued.map((row) => row.seq),
    };
    // Where the answer to the commit is lost, the error ends this writer; the next one starts from what was stored.
    await appendBatch(this.#client, batch);
    this.#state = state;
    this.#guard.accept(stored, this.#guard.highest);
    rememberTiles(this.#control, tiles);
    this.#control.wake.signal("log");
    this.#files.publish(tiles, stored);
    return queued.length;
  }

  #entryOf(row: QueuedEvent): { readonly entry: NewEntry; readonly bytes: Uint8Array } {
    const { at, type, ids, data } = this.#fieldsOf(row);
    const salt = this.#control.random.bytes(32);
    const leaf: AuditLeaf = { v: 1, at, type, ids: { ...ids }, commitment: commitTo(salt, data) };
    const bytes = leafBytes(leaf);
    const entry: NewEntry = {
      eventId: row.eventId,
      at,
      type,
      refs: refsOf(ids),
      leaf: decoder.decode(bytes),
      leafHash: leafHash(bytes),
      salt: toBase64Url(salt),
      data: canonicalJson(data),
    };
    return { entry, bytes };
  }

  /** The event as it was queued; of a row that Cardea did not queue, the finding itself. */
  #fieldsOf(row: QueuedEvent): QueuedFields {
    // The MAC covers text that `record` wrote from `QueuedFields`.
    if (isQueuedByUs(this.#control.keys, row)) return JSON.parse(row.event) as QueuedFields;
    this.#control.log.error({ seq: row.seq }, "a row of the audit queue was not written by Cardea");
    return {
      at: toTime(this.#control.clock.now()),
      type: "security.refused",
      ids: {},
      data: { what: "a row of the audit queue was not written by Cardea", seq: row.seq },
    };
  }

  async #partition(from: number, to: number): Promise<void> {
    if (to < this.#partitionedBelow) return;
    this.#partitionedBelow = await ensurePartitions(this.#client, from, to);
  }
}

const decoder = new TextDecoder();

/** Every id that an entry can be found by; what has a space in it is no id. */
function refsOf(ids: QueuedFields["ids"]): string[] {
  return [
    ...new Set(
      Object.entries(ids).flatMap(([key, id]) => (key === "event" || id === "" || id.includes(" ") ? [] : [id])),
    ),
  ];
}

/** Bundles and leaf tiles are made from the entries; what is above is stored. */
function upperTile({ path, bytes }: Tile): Batch["tiles"] {
  const ref = parseTilePath(path);
  return ref === undefined || ref.level === "entries" || ref.level === 0 ? [] : [{ ...ref, level: ref.level, bytes }];
}
