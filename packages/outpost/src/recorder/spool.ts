/**
 * Recordings on their way: pieces of all sessions in the order in which they came, on the disk before anybody hears that they are recorded, and
 * there until the control plane has them. Writes of many sessions share one flush, off the event loop. Its files hold ciphertext, and ids.
 *
 * A crash leaves whole frames and at most one torn one, which is dropped. What a session's recording came to is then known from its last frame, or
 * from the standing that each file begins with.
 */
import { mkdir, open, readdir, rm, statfs } from "node:fs/promises";
import type { Logger } from "pino";
import type { GrantId, SessionId } from "@cardea/core/contract/ids";
import { frameBytes, frameSize, type Frame, type Standing } from "./frames.ts";
import type { RecorderLimits } from "./limits.ts";
import { Segment, segmentName } from "./segment.ts";

/** There is no room for what is to be recorded; the words are for whoever is recorded. */
export class NoRoom extends Error {}

/** Where a reader stands. */
export interface SpoolPlace {
  readonly segment: number;
  readonly at: number;
}

/** A piece in the spool. */
export interface SpooledPiece {
  readonly session: SessionId;
  readonly grant: GrantId;
  readonly index: number;
  readonly piece: Uint8Array;
  readonly place: SpoolPlace;
  /** What it takes in the spool. */
  readonly spoolBytes: number;
}

export interface SpoolRead {
  readonly pieces: readonly SpooledPiece[];
  readonly next: SpoolPlace;
}

/** What an earlier process left of a session that it did not close. */
export type Left = Standing & { readonly is: "over" | "cut" };

interface Waiting {
  readonly frames: readonly Frame[];
  readonly bytes: number;
  readonly done: () => void;
  readonly fail: (error: unknown) => void;
}

export interface RecordingSpoolOptions {
  /** 0700, made where it is missing; nothing else is in it. */
  readonly directory: string;
  readonly limits: RecorderLimits;
  readonly log: Logger;
  /** Of sessions that are open: what a new file begins with. */
  readonly standings: () => readonly Standing[];
}

export class RecordingSpool {
  /** Sessions of an earlier process, by what it left of them. */
  readonly left: ReadonlyMap<SessionId, Left>;
  readonly #options: RecordingSpoolOptions;
  readonly #segments: Segment[];
  readonly #listeners = new Set<() => void>();
  /** Bytes of each session that the control plane does not have. */
  readonly #backlog = new Map<SessionId, number>();
  #acknowledged: SpoolPlace;
  #total: number;
  #waitingBytes = 0;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #deleting: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(options: RecordingSpoolOptions, segments: Segment[], left: ReadonlyMap<SessionId, Left>) {
    this.#options = options;
    this.#segments = segments;
    this.left = left;
    this.#total = segments.reduce((sum, { size }) => sum + size, 0);
    this.#acknowledged = { segment: segments[0]?.number ?? 0, at: 0 };
  }

  /** Reads what an earlier process left, and begins a file of its own. */
  static async open(options: RecordingSpoolOptions): Promise<RecordingSpool> {
    const { directory, log } = options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const numbers = (await readdir(directory))
      .flatMap((name) => segmentName.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
    const left = new Map<SessionId, Left>();
    const segments: Segment[] = [];
    for (const number of numbers) {
      const segment = await Segment.reopen(directory, number, ({ frame: { is, ...standing } }) => {
        const { session, grant, pieces, bytes, chain } = standing;
        const known = left.get(session);
        if (known === undefined || known.pieces <= pieces)
          left.set(session, { session, grant, pieces, bytes, chain, is: is === "over" ? "over" : "cut" });
      });
      segments.push(segment);
    }
    const spool = new RecordingSpool(options, segments, left);
    await spool.#begin([...left.values()]);
    if (left.size > 0)
      log.info({ sessions: left.size, bytes: spool.bytes }, "recordings of an earlier run are in the spool");
    return spool;
  }

  /** On the disk. */
  get bytes(): number {
    return this.#total;
  }

  /** What the control plane does not have of this session, in bytes of the spool. */
  backlog(session: SessionId): number {
    return this.#backlog.get(session) ?? 0;
  }

  /** Calls the listener when something was added. Returns the way to end it. */
  onAdded(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Whether a session may be begun now. @throws NoRoom */
  async check(): Promise<void> {
    this.#checkBound(0);
    await this.#checkDisk();
  }

  /** Resolves once all of it is on the disk. @throws NoRoom, or what the disk answered; then none of it is in the spool */
  append(frames: readonly Frame[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const bytes = frames.reduce((sum, frame) => sum + frameSize(frame), 0);
      this.#waiting.push({ frames, bytes, done: resolve, fail: reject });
      this.#waitingBytes += bytes;
      this.#writing ??= this.#write();
    });
  }

  /** Where sending begins: behind what the control plane has. */
  get start(): SpoolPlace {
    return this.#acknowledged;
  }

  /** Pieces from this place on, some at once, in order; none where all were read. */
  async read(from: SpoolPlace): Promise<SpoolRead> {
    let place = from;
    for (;;) {
      const index = this.#segments.findIndex(({ number }) => number >= place.segment);
      const segment = this.#segments[index];
      if (segment === undefined) return { pieces: [], next: place };
      if (segment.number > place.segment) place = { segment: segment.number, at: 0 };
      const found = await segment.read(place.at);
      const last = found.at(-1);
      if (last === undefined) {
        const following = this.#segments[index + 1];
        if (following === undefined) return { pieces: [], next: place };
        place = { segment: following.number, at: 0 };
        continue;
      }
      place = { segment: segment.number, at: last.end };
      const pieces = found.flatMap(({ frame, at, end }): SpooledPiece[] => {
        if (frame.is !== "piece") return [];
        const { session, grant, piece } = frame;
        return [
          {
            session,
            grant,
            index: frame.pieces - 1,
            piece,
            place: { segment: segment.number, at },
            spoolBytes: end - at,
          },
        ];
      });
      if (pieces.length > 0) return { pieces, next: place };
    }
  }

  /** The control plane has these pieces, and everything before this place. */
  acknowledge(pieces: readonly Pick<SpooledPiece, "session" | "spoolBytes">[], before: SpoolPlace): void {
    this.#acknowledged = before;
    for (const { session, spoolBytes } of pieces) {
      const left = this.backlog(session) - spoolBytes;
      if (left > 0) this.#backlog.set(session, left);
      else this.#backlog.delete(session);
    }
    this.#forget();
  }

  /** Writes what waits, and closes. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#writing !== undefined) await this.#writing;
    await this.#deleting;
    await Promise.all(this.#segments.map((segment) => segment.close()));
  }

  async #write(): Promise<void> {
    // What is asked for in this turn shares the flush.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      const bytes = batch.reduce((sum, one) => sum + one.bytes, 0);
      try {
        this.#checkBound(bytes);
        await this.#checkDisk();
        await this.#rotate();
        const segment = this.#segments.at(-1);
        if (segment === undefined) throw new TypeError("a spool has a file");
        await segment.append(batch.flatMap(({ frames }) => frames.flatMap(frameBytes)));
        this.#total += bytes;
        for (const { frames } of batch) for (const frame of frames) this.#count(frame);
        for (const one of batch) one.done();
        for (const listener of this.#listeners) listener();
      } catch (error) {
        for (const one of batch) one.fail(error);
      }
      this.#waitingBytes -= bytes;
    }
    this.#writing = undefined;
    this.#forget();
  }

  #count(frame: Frame): void {
    if (frame.is === "piece") this.#backlog.set(frame.session, this.backlog(frame.session) + frameSize(frame));
  }

  #checkBound(more: number): void {
    const { spoolBytes } = this.#options.limits;
    if (this.#total + more > spoolBytes)
      throw new NoRoom("recordings that the control plane does not have yet fill the outpost's spool");
  }

  async #checkDisk(): Promise<void> {
    const { directory, limits } = this.#options;
    const { bavail, bsize } = await statfs(directory);
    if (bavail * bsize < limits.reserveBytes + this.#waitingBytes) throw new NoRoom("the outpost's disk is full");
  }

  async #rotate(): Promise<void> {
    const current = this.#segments.at(-1);
    if (current !== undefined && current.size < this.#options.limits.segmentBytes) return;
    await this.#begin(this.#options.standings().map((standing) => ({ ...standing, is: "cut" as const })));
  }

  /** A new file, which says first where everything stands that is not over. */
  async #begin(standings: readonly Left[]): Promise<void> {
    const { directory } = this.#options;
    const segment = await Segment.make(directory, (this.#segments.at(-1)?.number ?? 0) + 1);
    try {
      const frames = standings.flatMap(({ is, ...standing }) =>
        frameBytes({ ...standing, is: is === "over" ? "over" : "standing" }),
      );
      if (frames.length > 0) await segment.append(frames);
      await syncDirectory(directory);
    } catch (error) {
      await segment.close().catch(() => undefined);
      await rm(segment.path, { force: true }).catch(() => undefined);
      throw error;
    }
    this.#segments.push(segment);
    this.#total += segment.size;
  }

  /** Removes files that the control plane has all of. The newest stays: it says where open sessions stand. */
  #forget(): void {
    for (;;) {
      const [first, second] = this.#segments;
      if (first === undefined || second === undefined || this.#closed) return;
      const { segment, at } = this.#acknowledged;
      if (segment < first.number || (segment === first.number && at < first.size)) return;
      this.#segments.shift();
      this.#total -= first.size;
      if (segment === first.number) this.#acknowledged = { segment: second.number, at: 0 };
      this.#deleting = this.#deleting
        .then(async () => {
          await first.close();
          await rm(first.path, { force: true });
        })
        .catch((error: unknown) =>
          this.#options.log.warn({ err: error, file: first.path }, "a file of the spool could not be removed"),
        );
    }
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
