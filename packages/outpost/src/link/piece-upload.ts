/**
 * Sends the spool's pieces over one link: in order, so many at a time, and forgets them as the control plane has them. A new link begins where the one
 * before it was not acknowledged; what is sent twice is known by its session and index.
 */
import { newId, type EventId } from "@cardea/core/contract/ids";
import type { RecordingPiece } from "@cardea/core/wire/link";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import type { RecordingSpool, SpooledPiece, SpoolPlace } from "../recorder/spool.ts";

/** Sent and not acknowledged. */
const maxPieces = 64;
const maxBytes = 2 * 1024 * 1024;

export interface PieceUploadOptions {
  readonly spool: RecordingSpool;
  readonly clock: Clock;
  readonly random: Random;
  readonly say: (piece: RecordingPiece) => void;
  /** The socket has as much to send as it should. */
  readonly congested: () => boolean;
  readonly onFault: (error: unknown) => void;
}

interface Told {
  readonly piece: Pick<SpooledPiece, "session" | "spoolBytes" | "place">;
  had: boolean;
}

export class PieceUpload {
  readonly #options: PieceUploadOptions;
  /** In the order of sending. */
  readonly #told = new Map<EventId, Told>();
  readonly #unsubscribe: () => void;
  #toldBytes = 0;
  #place: SpoolPlace;
  #sending = false;
  #again = false;
  #closed = false;

  constructor(options: PieceUploadOptions) {
    this.#options = options;
    this.#place = options.spool.start;
    this.#unsubscribe = options.spool.onAdded(() => this.poke());
  }

  /** There may be something to send. */
  poke(): void {
    this.#again = true;
    if (this.#sending || this.#closed) return;
    this.#sending = true;
    const done = (): void => {
      this.#sending = false;
      if (this.#again) this.poke();
    };
    this.#send().then(done, (error: unknown) => {
      this.#sending = false;
      this.#options.onFault(error);
    });
  }

  /** The control plane has what these ids name, as far as they are ours. */
  acknowledge(ids: readonly EventId[]): void {
    for (const id of ids) {
      const told = this.#told.get(id);
      if (told !== undefined) told.had = true;
    }
    const had: Told["piece"][] = [];
    for (const [id, told] of this.#told) {
      if (!told.had) break;
      this.#told.delete(id);
      this.#toldBytes -= told.piece.spoolBytes;
      had.push(told.piece);
    }
    if (had.length === 0) return;
    this.#acknowledged(had);
    this.poke();
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
  }

  async #send(): Promise<void> {
    const { spool, congested } = this.#options;
    while (this.#again) {
      this.#again = false;
      while (!this.#closed && this.#hasRoom && !congested()) {
        const from = this.#place;
        const { pieces, next } = await spool.read(from);
        // Another may have been closed, or told that its link is gone, meanwhile.
        if (this.#isClosed()) return;
        const sent = pieces.findIndex((piece) => !this.#say(piece));
        this.#place = sent === -1 ? next : (pieces[sent]?.place ?? next);
        if (pieces.length === 0) {
          // What stands there besides pieces needs nobody's answer.
          if (this.#told.size === 0 && (next.segment !== from.segment || next.at !== from.at)) this.#acknowledged([]);
          break;
        }
      }
    }
  }

  #isClosed(): boolean {
    return this.#closed;
  }

  get #hasRoom(): boolean {
    return this.#told.size < maxPieces && this.#toldBytes < maxBytes;
  }

  /** `false` where the window is full. */
  #say(spooled: SpooledPiece): boolean {
    if (!this.#hasRoom) return false;
    const { session, grant, index, piece, place, spoolBytes } = spooled;
    const id = newId("event", this.#options.clock, this.#options.random);
    this.#told.set(id, { piece: { session, spoolBytes, place }, had: false });
    this.#toldBytes += spoolBytes;
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString("base64url");
    this.#options.say({ kind: "recording", id, session, grant, index, bytes });
    return true;
  }

  /** Everything before the first that is not acknowledged may be forgotten. */
  #acknowledged(had: readonly Told["piece"][]): void {
    const [first] = this.#told.values();
    this.#options.spool.acknowledge(had, first?.piece.place ?? this.#place);
  }
}
