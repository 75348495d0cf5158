/**
 * One link, proven on both sides: reads what the outpost tells and has it applied, sends it state and tasks, and notices when it is gone.
 * Whatever is sent is sent again by the next link until it is receipted, so this class forgets everything when its socket closes.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { WebSocket } from "ws";
import type { Enrolment } from "@cardea/core/wire/enrolment";
import { CardeaError } from "@cardea/core/contract/errors";
import {
  FromOutpost,
  maxLinkMessageBytes,
  type FromControl,
  type LinkEvent,
  type Receipt,
  type RecordingPiece,
} from "@cardea/core/wire/link";
import { toTime } from "@cardea/core/documents/primitives";
import type { Control } from "../control.ts";
import { takePieces } from "../recordings/receive.ts";
import { keepConnection } from "../store/outposts.ts";
import { transact } from "../store/transaction.ts";
import { Drain } from "./drain.ts";
import { applyMessages, type Message } from "./inbox.ts";
import type { Frame, Frames } from "./frames.ts";
import { takeReport } from "./report.ts";
import { assembleState, type Carried } from "./state.ts";
import { TaskSender } from "./task-sender.ts";

/** A ping, and with its answer a state, as often. */
const beatMs = 10_000;
/** After so long without a word the other side is taken for gone. */
export const silenceMs = 30_000;
/** After a state was refused the next is sent no sooner. */
const refusedPauseMs = 1_000;
/** Messages applied in one transaction. */
const maxBatch = 200;
/** Above so many unread messages the socket is not read. */
const maxQueued = 2_000;
/** RFC 6455, section 7.4.2: codes from 4000 on are the application's. */
const replacedCode = 4_001;
/** Between two attempts to store pieces of recordings. */
const pieceRetryMs = 2_000;

const nothingCarried: Carried = {
  checkpointSize: 0,
  policyVersion: 0,
  people: { rosterVersion: 0, subjects: new Set() },
};

type Pong = Extract<FromOutpost, { kind: "pong" }>;
type Report = Extract<FromOutpost, { kind: "report" }>;

export class LinkConnection {
  readonly id: string;
  readonly outpost: Enrolment;
  /** Resolves once the socket is closed and nothing of this connection runs any more. */
  readonly closed: Promise<void>;
  readonly #control: Control;
  readonly #socket: WebSocket;
  readonly #tasks: TaskSender;
  /** Somebody waits for what receipts say, so they never stand behind a burst of events. */
  readonly #urgent: Drain<Receipt | Pong>;
  readonly #rest: Drain<LinkEvent | Report>;
  /** They wait for a disk, and nobody waits for them. */
  readonly #pieces: Drain<RecordingPiece>;
  #stating: Promise<void> = Promise.resolve();
  #heardAtMs: number;
  /** What the outpost has of the log, the policy and the people it was sent, and whether a checkpoint went out since the last ping. */
  readonly #sent = { ...nothingCarried, sincePing: false };
  /** Set by the first pong; before it nobody knows where a proof would have to begin. */
  #placed = false;
  #pinged = false;
  #statedAtMs = 0;
  #beat: NodeJS.Timeout | undefined;
  readonly #gone = new AbortController();
  readonly #unsubscribe: (() => void)[] = [];

  /** Listens from now on; nothing is said before `start`. */
  constructor(control: Control, socket: WebSocket, frames: Frames, outpost: Enrolment, id: string) {
    this.#control = control;
    this.#socket = socket;
    this.outpost = outpost;
    this.id = id;
    this.#heardAtMs = control.clock.now();
    const onFault = (error: unknown): void => this.#onFault(error);
    this.#urgent = new Drain(maxBatch, (batch) => this.#takeUrgent(batch), onFault);
    this.#rest = new Drain(maxBatch, (batch) => this.#takeRest(batch), onFault);
    this.#pieces = new Drain(maxBatch, (batch) => this.#takePieces(batch), onFault);
    this.#tasks = new TaskSender(control, outpost.id, {
      send: (message) => this.#send(message),
      congested: () => socket.bufferedAmount > maxLinkMessageBytes,
      seen: this.#sent,
    });
    socket.on("error", (error) => control.log.info({ err: error, outpost: outpost.id }, "a link broke"));
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        clearInterval(this.#beat);
        this.#gone.abort();
        for (const unsubscribe of this.#unsubscribe) unsubscribe();
        const done = (): void => resolve();
        Promise.allSettled([
          this.#urgent.settled(),
          this.#rest.settled(),
          this.#pieces.settled(),
          this.#stating,
          this.#tasks.close(),
        ]).then(done, done);
      });
    });
    frames.listen((frame) => this.#hear(frame));
  }

  /** Pings; the answer says where the outpost stands, and state and tasks follow it. */
  start(): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    const { wake } = this.#control;
    this.#unsubscribe.push(
      wake.subscribe("tasks", () => this.#tasks.poke()),
      wake.subscribe("log", () => this.#tasks.logGrew()),
      wake.subscribe("policy", () => this.#sendState()),
      wake.subscribe("people", () => this.#sendState()),
    );
    this.#beat = setInterval(() => this.#onBeat(), beatMs);
    this.#ping();
    this.#urgent.open();
    this.#rest.open();
    this.#pieces.open();
  }

  /** A newer link of the same outpost counts. */
  replaced(): void {
    this.#socket.close(replacedCode, "replaced");
    setTimeout(() => this.#socket.terminate(), 1_000).unref();
  }

  /** 1001: going away. */
  async close(): Promise<void> {
    if (this.#socket.readyState === this.#socket.CLOSED) {
      await this.closed;
      return;
    }
    this.#socket.close(1001);
    const impatient = setTimeout(() => this.#socket.terminate(), 1_000);
    await this.closed;
    clearTimeout(impatient);
  }

  #send(message: FromControl): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #onBeat(): void {
    if (this.#control.clock.now() - this.#heardAtMs > silenceMs) this.#socket.terminate();
    else this.#ping();
  }

  #ping(): void {
    this.#pinged = true;
    this.#sent.sincePing = false;
    this.#send({ kind: "ping", at: toTime(this.#control.clock.now()) });
  }

  #hear(frame: Frame): void {
    this.#heardAtMs = this.#control.clock.now();
    const message = parse(frame);
    if (message === undefined) {
      // 1007: not of the agreed form. The outpost dials again; one of another version shows up in both logs.
      this.#control.log.warn({ outpost: this.outpost.id }, "a message of a link does not have the required form");
      this.#socket.close(1007);
      return;
    }
    if (message.kind === "receipt" || message.kind === "pong") this.#urgent.push(message);
    else if (message.kind === "recording") this.#pieces.push(message);
    else this.#rest.push(message);
    if (this.#queued > maxQueued) this.#socket.pause();
  }

  #onFault(error: unknown): void {
    this.#control.log.error({ err: error, outpost: this.outpost.id }, "what an outpost told could not be taken in");
    this.#socket.terminate();
  }

  async #takeUrgent(batch: readonly (Receipt | Pong)[]): Promise<void> {
    const receipts = batch.filter((message) => message.kind === "receipt");
    if (receipts.length > 0) await this.#apply(receipts);
    const pong = batch.findLast((message) => message.kind === "pong");
    if (pong !== undefined) await this.#onPong(pong);
    this.#resume();
  }

  async #takeRest(batch: readonly (LinkEvent | Report)[]): Promise<void> {
    const events = batch.filter((message) => message.kind === "event");
    if (events.length > 0) await this.#apply(events);
    for (const message of batch) {
      if (message.kind === "report")
        await transact(this.#control, (tx) => takeReport(tx, this.#control, this.outpost, message.report));
    }
    this.#resume();
  }

  /** Pieces of recordings, until they are stored: what the disk does not take now, it may take later. */
  async #takePieces(batch: readonly RecordingPiece[]): Promise<void> {
    let left = batch;
    while (!this.#gone.signal.aborted) {
      const ids = await takePieces(this.#control, this.outpost, left);
      if (ids.length > 0) this.#send({ kind: "ack", ids });
      const taken = new Set(ids);
      left = left.filter(({ id }) => !taken.has(id));
      if (left.length === 0) break;
      await sleep(pieceRetryMs, undefined, { signal: this.#gone.signal }).catch(() => undefined);
    }
    this.#resume();
  }

  get #queued(): number {
    return this.#urgent.size + this.#rest.size + this.#pieces.size;
  }

  #resume(): void {
    if (this.#queued < maxQueued / 2) this.#socket.resume();
  }

  async #apply(batch: readonly Message[]): Promise<void> {
    const ids = await applyMessages(this.#control, this.outpost, batch);
    if (ids.length > 0) this.#send({ kind: "ack", ids });
    for (const message of batch) {
      if (message.kind !== "receipt") continue;
      this.#tasks.receipted(message.task);
      // The outpost and this side disagree about what it has seen: asking clears it up.
      if (!message.outcome.ok && message.outcome.code === "evidence_stale") this.#ping();
    }
  }

  async #onPong({ checkpointSize, leases }: Pong): Promise<void> {
    // Only where no checkpoint is under way does the answer say more than this side knows already.
    if (!this.#sent.sincePing) this.#sent.checkpointSize = checkpointSize;
    this.#placed = true;
    // An outpost that refuses what it is sent says so at once; telling it again as fast would be a loop.
    if (this.#pinged || this.#control.clock.now() - this.#statedAtMs >= refusedPauseMs) this.#sendState();
    this.#pinged = false;
    const now = this.#control.clock.now();
    const kept = await keepConnection(
      this.#control.db,
      this.outpost.id,
      this.id,
      toTime(now),
      toTime(now + silenceMs),
      leases,
    );
    if (!kept) this.replaced();
    else this.#tasks.start();
  }

  /** One after the other, since each continues the log where the one before it ended. */
  #sendState(): void {
    if (!this.#placed) return;
    this.#stating = this.#stating
      .then(() => this.#tasks.exclusive(() => this.#assembleAndSend()))
      .catch((error: unknown) => {
        const code = error instanceof CardeaError ? error.code : "internal";
        this.#control.log.error(
          { err: error, outpost: this.outpost.id, code },
          "no state can be sent; the outpost will stop issuing",
        );
      });
  }

  async #assembleAndSend(): Promise<void> {
    const { state, carried } = await assembleState(this.#control, this.outpost.id, this.#sent);
    Object.assign(this.#sent, carried);
    this.#sent.sincePing = true;
    this.#statedAtMs = this.#control.clock.now();
    this.#send(state);
  }
}

function parse(text: Frame): FromOutpost | undefined {
  try {
    return FromOutpost.parse(JSON.parse(text ?? ""));
  } catch {
    return undefined;
  }
}
