/**
 * Records sessions: what passed through each is written, encrypted so that this outpost cannot read it again, and kept until the control plane has
 * it (docs/reference/recordings.md). `SessionOpener` begins a recording for every session, before it opens; without one none is opened. It never
 * holds the wire up, and never loses anything silently: a session that cannot be recorded is ended.
 */
import type { Logger } from "pino";
import type { SessionEnd } from "@cardea/connectors/gateway";
import { CardeaError } from "@cardea/core/contract/errors";
import type { GrantId, ResourceId, SessionId } from "@cardea/core/contract/ids";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import { chainDigest } from "@cardea/core/recording/piece";
import type { Store } from "../store/store.ts";
import { Chunks } from "./chunks.ts";
import { defaultRecorderLimits, type RecorderLimits } from "./limits.ts";
import { PieceMaker } from "./piece-maker.ts";
import { SessionRecording, type RecordingSummary } from "./session-recording.ts";
import { NoRoom, RecordingSpool } from "./spool.ts";

export interface RecorderOptions {
  /** The spool's folder, for the recorder alone. */
  readonly directory: string;
  readonly store: Pick<Store, "facts" | "write">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly limits?: Partial<RecorderLimits> | undefined;
}

export interface RecordingOrder {
  readonly session: SessionId;
  readonly grant: GrantId;
  readonly resource: ResourceId;
  /** Whether the resource's configuration asks for all input and output. */
  readonly recordsOutput: boolean;
  /** Ends the session where it cannot be recorded any more. */
  readonly end: (end: SessionEnd) => void;
}

const keyFact = "recording-key";

export class Recorder {
  readonly spool: RecordingSpool;
  readonly #options: RecorderOptions;
  readonly #limits: RecorderLimits;
  readonly #chunks = new Chunks();
  readonly #open: Set<SessionRecording>;
  readonly #busy = new Set<SessionRecording>();
  #ticking: NodeJS.Timeout | undefined;
  #key: string | undefined;

  private constructor(
    options: RecorderOptions,
    limits: RecorderLimits,
    spool: RecordingSpool,
    open: Set<SessionRecording>,
  ) {
    this.#options = options;
    this.#limits = limits;
    this.spool = spool;
    this.#open = open;
    const known = options.store.facts.get(keyFact);
    if (typeof known === "string") this.#key = known;
  }

  /** Opens the spool and finds what an earlier process left. @throws CardeaError `store_failed` */
  static async open(options: RecorderOptions): Promise<Recorder> {
    const limits = { ...defaultRecorderLimits, ...options.limits };
    const { directory, log } = options;
    const open = new Set<SessionRecording>();
    try {
      const standings = () => [...open].map(({ standing }) => standing);
      return new Recorder(options, limits, await RecordingSpool.open({ directory, limits, log, standings }), open);
    } catch (error) {
      throw new CardeaError("store_failed", `the spool of recordings in \`${directory}\` cannot be opened`, {
        cause: error,
      });
    }
  }

  /** The control plane's recording key, remembered for as long as the link is down. */
  async useKey(key: string): Promise<void> {
    if (key === this.#key) return;
    const { store } = this.#options;
    await store.write(() => store.facts.putSync(keyFact, key));
    this.#key = key;
  }

  /** Begins the recording of a session. @throws CardeaError `recording_unavailable` where it could not be kept or read; then the session must not open */
  async begin({ session, grant, resource, recordsOutput, end }: RecordingOrder): Promise<SessionRecording> {
    const { clock, random, log } = this.#options;
    const key = this.#key;
    if (key === undefined)
      throw new CardeaError(
        "recording_unavailable",
        "it could not be recorded: the control plane's recording key has not come yet",
      );
    const [maker] = await Promise.all([
      PieceMaker.make({ session, grant, resource, atMs: clock.now(), recordsOutput }, key, random),
      this.spool.check(),
    ]).catch((cause: unknown) => {
      if (!(cause instanceof NoRoom)) log.error({ err: cause, session }, "a recording cannot be begun");
      const words = cause instanceof NoRoom ? cause.message : "the outpost's log says why";
      throw new CardeaError("recording_unavailable", `it could not be recorded: ${words}`, { cause });
    });
    const recording: SessionRecording = new SessionRecording({
      session,
      grant,
      recordsOutput,
      maker,
      spool: this.spool,
      chunks: this.#chunks,
      limits: this.#limits,
      clock,
      end: (reason) => {
        log.warn({ session, words: reason.words }, "a session cannot be recorded any more and is closed");
        end(reason);
      },
      busy: (one) => this.#tickFor(one),
      over: (one) => void this.#open.delete(one),
      onFault: (error) => log.error({ err: error, session }, "what a session does could not be recorded"),
    });
    this.#open.add(recording);
    return recording;
  }

  /** What an earlier process recorded of a session that was open when it stopped; `undefined` where that is nothing. */
  recovered(session: SessionId): RecordingSummary | undefined {
    const left = this.spool.left.get(session);
    if (left === undefined) return undefined;
    const { pieces, bytes, chain, is } = left;
    return { pieces, bytes, digest: chainDigest(chain), ...(is === "cut" && { truncated: true as const }) };
  }

  /** Called once every session is closed. */
  async close(): Promise<void> {
    clearInterval(this.#ticking);
    await this.spool.close();
  }

  #tickFor(recording: SessionRecording): void {
    this.#busy.add(recording);
    this.#ticking ??= setInterval(() => this.#tick(), this.#limits.batchMs);
  }

  #tick(): void {
    const nowMs = this.#options.clock.now();
    for (const recording of this.#busy) if (!recording.tick(nowMs)) this.#busy.delete(recording);
    if (this.#busy.size > 0) return;
    clearInterval(this.#ticking);
    this.#ticking = undefined;
  }
}
