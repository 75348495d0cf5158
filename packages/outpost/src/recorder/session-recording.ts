/**
 * The recording of one session, from its head to its last event. Taking an event never waits: it is written to memory, and a piece at a time goes to the
 * spool behind the caller's back. Where that does not keep up the client is asked to pause, and where it fails the session is ended: what was
 * done is recorded, or is not done any more.
 */
import type { SessionEnd, SessionEvent } from "@cardea/connectors/gateway";
import type { GrantId, RequestId, SessionId } from "@cardea/core/contract/ids";
import type { Clock } from "@cardea/core/lib/clock";
import { chainDigest, chained, chainStart } from "@cardea/core/recording/piece";
import type { SessionClosed } from "@cardea/core/wire/session-events";
import type { Chunks } from "./chunks.ts";
import { EventWriter } from "./event-writer.ts";
import type { Frame, Standing } from "./frames.ts";
import type { RecorderLimits } from "./limits.ts";
import type { PieceMaker } from "./piece-maker.ts";
import { NoRoom, type RecordingSpool } from "./spool.ts";

/** What a session's recording came to, as `session.closed` says it. */
export type RecordingSummary = NonNullable<SessionClosed["recording"]>;

export interface SessionRecordingOptions {
  readonly session: SessionId;
  readonly grant: GrantId;
  readonly recordsOutput: boolean;
  readonly maker: PieceMaker;
  readonly spool: RecordingSpool;
  readonly chunks: Chunks;
  readonly limits: RecorderLimits;
  readonly clock: Clock;
  /** Ends the session. Called once, if at all. */
  readonly end: (end: SessionEnd) => void;
  /** It has something to do at the next tick. */
  readonly busy: (recording: SessionRecording) => void;
  readonly over: (recording: SessionRecording) => void;
  readonly onFault: (error: unknown, session: SessionId) => void;
}

export class SessionRecording {
  readonly #options: SessionRecordingOptions;
  readonly #writer: EventWriter;
  #state: "open" | "failed" | "closed" = "open";
  #standing: Standing;
  #head: Uint8Array | undefined;
  #busy = false;
  #pumping: Promise<void> | undefined;
  /** Since when the disk owes an answer. */
  #pumpingSinceMs = 0;
  /** In the hands of the pump. */
  #inHand = 0;
  #pause: { readonly over: Promise<void>; readonly resume: () => void } | undefined;
  /** Of the spool's, when it was last seen to shrink. */
  #backlog = 0;
  #backlogMovedAtMs = 0;

  constructor(options: SessionRecordingOptions) {
    this.#options = options;
    this.#writer = new EventWriter(options);
    const { session, grant, maker } = options;
    this.#standing = { session, grant, pieces: 0, bytes: 0, chain: chainStart(session) };
    this.#head = maker.head;
    this.#wake();
  }

  get session(): SessionId {
    return this.#options.session;
  }

  get standing(): Standing {
    return this.#standing;
  }

  /** Takes one event. A promise asks for a pause until it resolves; it never rejects. */
  record(event: SessionEvent): Promise<void> | undefined {
    if (this.#state !== "open") return undefined;
    this.#writer.write(event);
    if (!this.#busy) this.#wake();
    const bytes = this.#writer.bytes;
    if (bytes < this.#options.limits.batchBytes) return this.#pause?.over;
    return this.#grown(bytes);
  }

  /** The request of the action that is held now. */
  filed(request: RequestId, code: string): void {
    if (this.#state !== "open") return;
    this.#writer.filed(this.#options.clock.now(), request, code);
    if (!this.#busy) this.#wake();
  }

  /** Writes what is left and says what all of it came to. Never rejects. */
  async close(): Promise<RecordingSummary> {
    while (this.#pumping !== undefined || (this.#state === "open" && this.#hasMore)) await this.#pump();
    if (this.#state === "open") {
      this.#state = "closed";
      // Without it a crash right now would have the session count as cut off; its pieces are on the disk.
      await this.#options.spool.append([{ ...this.#standing, is: "over" }]).catch(() => undefined);
    }
    return this.#finish();
  }

  /** The session never opened, so nothing is to be recorded. */
  abandon(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#finish();
  }

  /** Called every `batchMs` or so while it is busy. Answers whether it still is. */
  tick(nowMs: number): boolean {
    if (this.#state !== "open") return false;
    const { limits } = this.#options;
    if (this.#pumping !== undefined) {
      if (nowMs - this.#pumpingSinceMs > limits.behindMs)
        this.#fail("what it does cannot be recorded in time: the outpost's disk is too slow");
      return true;
    }
    this.#look(nowMs);
    if (this.#hasMore) {
      this.#start();
      return true;
    }
    return (this.#busy = this.#pause !== undefined);
  }

  get #hasMore(): boolean {
    return this.#head !== undefined || !this.#writer.isEmpty;
  }

  #wake(): void {
    this.#busy = true;
    this.#options.busy(this);
  }

  #grown(bytes: number): Promise<void> | undefined {
    const { limits, spool, session } = this.#options;
    if (this.#pumping === undefined) this.#start();
    const held = bytes + this.#inHand;
    if (held > limits.memoryBytes) {
      this.#fail("it does more than can be recorded");
      return undefined;
    }
    if (this.#pause === undefined && (held > limits.pauseBytes || spool.backlog(session) > limits.backlogBytes)) {
      let resume = (): void => undefined;
      const over = new Promise<void>((resolve) => (resume = resolve));
      this.#pause = { over, resume };
      this.#backlog = spool.backlog(session);
      this.#backlogMovedAtMs = this.#options.clock.now();
    }
    return this.#pause?.over;
  }

  /** Whether what was waited for is there. */
  #look(nowMs: number): void {
    if (this.#pause === undefined) return;
    const { limits, spool, session } = this.#options;
    if (this.#writer.bytes + this.#inHand > limits.pauseBytes / 2) return;
    const backlog = spool.backlog(session);
    if (backlog < this.#backlog) {
      this.#backlog = backlog;
      this.#backlogMovedAtMs = nowMs;
    }
    // While the link takes nothing waiting is of no use: what there is room for is recorded.
    if (backlog > (limits.backlogBytes * 3) / 4 && nowMs - this.#backlogMovedAtMs <= limits.behindMs) return;
    this.#pause.resume();
    this.#pause = undefined;
  }

  #start(): void {
    this.#pump().catch((error: unknown) => this.#options.onFault(error, this.session));
  }

  /** Takes what was written to the spool, until nothing is left. */
  #pump(): Promise<void> {
    this.#pumping ??= this.#run().finally(() => {
      this.#pumping = undefined;
      this.#inHand = 0;
      this.#look(this.#options.clock.now());
    });
    return this.#pumping;
  }

  async #run(): Promise<void> {
    const { maker, spool, clock, limits, session, onFault } = this.#options;
    try {
      while (this.#state === "open") {
        const head = this.#head;
        this.#head = undefined;
        const batch = this.#writer.take();
        if (head === undefined && batch === undefined) return;
        this.#pumpingSinceMs = clock.now();
        this.#inHand = (batch?.events.length ?? 0) + (batch?.values.length ?? 0);
        const frames: Frame[] = [];
        let standing = this.#standing;
        const add = (piece: Uint8Array): void => {
          const { grant, pieces, bytes, chain } = standing;
          standing = { session, grant, pieces: pieces + 1, bytes: bytes + piece.length, chain: chained(chain, piece) };
          frames.push({ ...standing, is: "piece", piece });
        };
        if (head !== undefined) add(head);
        if (batch !== undefined) add(await maker.piece(standing.pieces, batch));
        if (spool.backlog(session) > limits.sessionBytes)
          throw new NoRoom("more of this session than allowed waits for the control plane");
        await spool.append(frames);
        this.#standing = standing;
        this.#inHand = 0;
        this.#look(clock.now());
      }
    } catch (error) {
      if (!(error instanceof NoRoom)) onFault(error, session);
      this.#fail(`it cannot be recorded: ${error instanceof NoRoom ? error.message : "the outpost's disk failed"}`);
    }
  }

  #fail(words: string): void {
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#writer.drop();
    this.#pause?.resume();
    this.#pause = undefined;
    this.#options.end({ why: "recorder", words: `the session is closed because ${words}` });
  }

  #finish(): RecordingSummary {
    const { pieces, bytes, chain } = this.#standing;
    this.#writer.drop();
    this.#pause?.resume();
    this.#pause = undefined;
    this.#options.over(this);
    return {
      pieces,
      bytes,
      digest: chainDigest(chain),
      ...(this.#state === "failed" && { truncated: true as const }),
    };
  }
}
