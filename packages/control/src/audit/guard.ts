/**
 * Remembers, outside the database, how far the log had come: a restored backup or a hand that removes rows is noticed, and from then on
 * nothing is issued. Every process asks it before it believes a head from the database.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import { openCheckpoint, type Checkpoint, type LogIdentity } from "@cardea/core/log/checkpoint";
import { sameBytes } from "@cardea/core/log/merkle";
import { parseVerifierKey } from "@cardea/core/log/note";
import type { Trust } from "@cardea/core/documents/trust";
import type { Control } from "../control.ts";
import type { LogHead } from "../store/log.ts";

/** The newest published head, below `settings.logDirectory`; C2SP's name for it. */
export const checkpointFile = "checkpoint";

export class LogGuard {
  readonly identity: LogIdentity;
  #highest: Checkpoint | undefined;
  #refusal: CardeaError | undefined;
  #altered: CardeaError | undefined;
  /** The note opened last: most readers ask for the same head. */
  #opened: { readonly note: string; readonly checkpoint: Checkpoint } | undefined;

  constructor(identity: LogIdentity, published: Checkpoint | undefined) {
    this.identity = identity;
    this.#highest = published;
  }

  /** The newest head ever believed. */
  get highest(): Checkpoint | undefined {
    return this.#highest;
  }

  /** Set from the moment a head was older than one believed before, until a head is accepted again; or while the writer found the log altered. */
  get refusal(): CardeaError | undefined {
    return this.#refusal ?? this.#altered;
  }

  /** What the writer found of the entries behind the head: `undefined` once they are what was signed. */
  set altered(finding: CardeaError | undefined) {
    this.#altered = finding;
  }

  /**
   * Opens a head from the database; an absent one stands for a log without entries. `floor`: the highest head when the reading began, as
   * the log may grow, and this guard hear of it, before the answer is here.
   * @throws CardeaError `log_rolled_back` unless it is signed by the log's key and no older than the floor
   */
  accept(head: LogHead | undefined, floor: Checkpoint | undefined): Checkpoint | undefined {
    try {
      const checkpoint = head === undefined ? undefined : this.#open(head);
      refuseOlder(checkpoint, floor);
      if (checkpoint !== undefined && checkpoint.size > (this.#highest?.size ?? 0)) this.#highest = checkpoint;
      this.#refusal = undefined;
      return checkpoint;
    } catch (error) {
      if (error instanceof CardeaError) this.#refusal = error;
      throw error;
    }
  }

  #open({ size, checkpoint: note }: LogHead): Checkpoint {
    if (this.#opened?.note !== note) {
      const opened = openCheckpoint(note, this.identity);
      if (!opened.ok) throw rolledBack(`its head is not a checkpoint of this log: ${opened.detail}`);
      this.#opened = { note, checkpoint: opened.value };
    }
    const { checkpoint } = this.#opened;
    if (checkpoint.size !== size) throw rolledBack("its head is of another size than it says");
    return checkpoint;
  }
}

function refuseOlder(checkpoint: Checkpoint | undefined, floor: Checkpoint | undefined): void {
  if (floor === undefined) return;
  if (checkpoint === undefined) throw rolledBack(`it is empty, and had ${String(floor.size)} entries`);
  if (checkpoint.size < floor.size)
    throw rolledBack(`it has ${String(checkpoint.size)} entries, and had ${String(floor.size)}`);
  if (checkpoint.size === floor.size && !sameBytes(checkpoint.root, floor.root)) {
    throw rolledBack(`there were two different logs of ${String(floor.size)} entries`);
  }
}

/** The fault of a log that is not the one it was. */
export function rolledBack(why: string): CardeaError {
  return new CardeaError(
    "log_rolled_back",
    `the log in the database is not the one that was published: ${why}; was a backup restored?`,
  );
}

const guards = new WeakMap<Control, Promise<LogGuard>>();
const refusals = new WeakMap<Control, LogGuard>();

/** This process's guard; made from the published head at the first call. */
export function logGuard(control: Control): Promise<LogGuard> {
  const known = guards.get(control);
  if (known !== undefined) return known;
  const opening = openGuard(control);
  guards.set(control, opening);
  // An unreadable file is looked at again by the next caller.
  opening.then(
    (guard) => refusals.set(control, guard),
    () => guards.delete(control),
  );
  return opening;
}

/**
 * Refuses to go on where the log was found to be rolled back. Costs nothing: the finding is made by whoever reads a head.
 * @throws CardeaError `log_rolled_back`
 */
export function demandWholeLog(control: Control): void {
  const refusal = refusals.get(control)?.refusal;
  if (refusal !== undefined) throw refusal;
}

async function openGuard(control: Control): Promise<LogGuard> {
  const identity = logIdentity(control.trust);
  const path = join(control.settings.logDirectory, checkpointFile);
  const note = await readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  });
  if (note === undefined) return new LogGuard(identity, undefined);
  const published = openCheckpoint(note, identity);
  if (!published.ok)
    throw rolledBack(`the published head \`${path}\` is not a checkpoint of this log: ${published.detail}`);
  return new LogGuard(identity, published.value);
}

function logIdentity(trust: Trust): LogIdentity {
  const key = parseVerifierKey(trust.logKey);
  if (!key.ok) throw new CardeaError("setting_invalid", `the trust document's log key is malformed: ${key.detail}`);
  return { origin: trust.origin, key: key.value };
}
