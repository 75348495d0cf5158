/** One proven link: reads tasks, state and acknowledgements, and tells what the spool holds, from its beginning, so many at a time. */
import type { WebSocket } from "ws";
import type { Logger } from "pino";
import type { EventId } from "@cardea/core/contract/ids";
import {
  FromControl,
  type FromOutpost,
  type LeaseCounts,
  type LinkState,
  type ResourceReport,
  type Task,
} from "@cardea/core/wire/link";
import { toTime } from "@cardea/core/documents/primitives";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import { never } from "@cardea/core/lib/never";
import type { Tuning } from "../settings.ts";
import type { RecordingSpool } from "../recorder/spool.ts";
import type { Lane, Place, Spool } from "../store/spool.ts";
import { pausePoint } from "../pause-points.ts";
import type { Dialled } from "./dial.ts";
import type { Frame } from "./frames.ts";
import { PieceUpload } from "./piece-upload.ts";

/** What the outpost does with what it hears. */
export interface SessionWork {
  readonly clock: Clock;
  /** Takes a task; its receipt comes through the spool. */
  task(task: Task): void;
  /** Takes a state. `false` where it is refused. */
  state(state: LinkState): Promise<boolean>;
  reports(): readonly ResourceReport[];
  counts(): LeaseCounts;
  checkpointSize(): number;
}

interface SessionOptions {
  readonly spool: Spool;
  readonly recordings: RecordingSpool;
  readonly work: SessionWork;
  readonly tuning: Tuning;
  readonly random: Random;
  readonly log: Logger;
}

/** Told and not yet acknowledged. */
const windowSize = 500;
const maxBufferedBytes = 4 * 1024 * 1024;
const congestedMs = 50;
/** How the control plane closes a link that a newer one of the same outpost has replaced. */
const replacedCode = 4_001;

export class LinkSession {
  /** Resolves once the socket is closed and what was heard is taken in; says whether another process took the link over. */
  readonly ended: Promise<"closed" | "replaced">;
  readonly #socket: WebSocket;
  readonly #options: SessionOptions;
  /** Places in the spool of what was told and not acknowledged. */
  readonly #told = new Map<EventId, Place>();
  readonly #places: Record<Lane, number> = { receipt: 0, event: 0 };
  readonly #pieces: PieceUpload;
  #flushing: NodeJS.Timeout | undefined;
  #silence: NodeJS.Timeout | undefined;
  /** States and acknowledgements are taken in one after the other. */
  #chain: Promise<void> = Promise.resolve();

  /** Listens from now on. */
  constructor({ socket, frames }: Dialled, options: SessionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#pieces = new PieceUpload({
      spool: options.recordings,
      clock: options.work.clock,
      random: options.random,
      say: (piece) => this.#say(piece),
      congested: () => socket.readyState !== socket.OPEN || socket.bufferedAmount > maxBufferedBytes,
      onFault: (error) => {
        options.log.error({ err: error }, "recordings cannot be sent");
        socket.terminate();
      },
    });
    this.#listenForSilence();
    this.ended = new Promise((resolve) => {
      socket.once("close", (code) => {
        clearTimeout(this.#flushing);
        clearTimeout(this.#silence);
        this.#pieces.close();
        const done = (): void => resolve(code === replacedCode ? "replaced" : "closed");
        this.#chain.then(done, done);
      });
    });
    frames.listen((frame) => this.#hear(frame));
  }

  /** Says where this outpost stands, and everything that was not acknowledged before. */
  start(): void {
    this.#pong();
    for (const report of this.#options.work.reports()) this.report(report);
    this.flush(0);
  }

  report(report: ResourceReport): void {
    this.#say({ kind: "report", report });
  }

  /** Tells what the spool holds, after so long at most. */
  flush(afterMs: number): void {
    this.#flushing ??= setTimeout(() => this.#flush(), afterMs);
  }

  /** Tells all of it at once. */
  flushNow(): void {
    this.#flush();
  }

  /** Tells the receipts at once. */
  flushReceipts(): void {
    this.#tell("receipt");
  }

  /** 1001: going away. */
  close(): void {
    this.#socket.close(1001);
    setTimeout(() => this.#socket.terminate(), 500).unref();
  }

  #flush(): void {
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    this.#tell("receipt");
    this.#tell("event");
    this.#pieces.poke();
  }

  #tell(lane: Lane): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > maxBufferedBytes) {
      this.flush(congestedMs);
      return;
    }
    // Events never fill the window so that a receipt would have to wait for one of them.
    const room = (lane === "receipt" ? 2 : 1) * windowSize - this.#told.size;
    if (room <= 0) return;
    for (const { place, message } of this.#options.spool.after(lane, this.#places[lane], room)) {
      this.#places[lane] = place[1];
      this.#told.set(message.id, place);
      this.#say(message);
      if (message.kind === "receipt") this.#pauseAfterReceipt();
    }
  }

  #pauseAfterReceipt(): void {
    const log = this.#options.log;
    pausePoint("receipt.sent").catch((error: unknown) => log.error({ err: error }, "a pause failed"));
  }

  #say(message: FromOutpost): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #pong(): void {
    const { work } = this.#options;
    this.#say({
      kind: "pong",
      at: toTime(work.clock.now()),
      checkpointSize: work.checkpointSize(),
      leases: work.counts(),
    });
  }

  #hear(frame: Frame): void {
    this.#listenForSilence();
    const message = parse(frame);
    if (message === undefined) {
      this.#options.log.error(
        "a message of the control plane does not have the required form; is it of another version?",
      );
      this.#socket.close(1007);
      return;
    }
    this.#chain = this.#chain
      .then(() => this.#take(message))
      .catch((error: unknown) => {
        this.#options.log.error({ err: error }, "what the control plane said could not be taken in");
        this.#socket.terminate();
      });
  }

  async #take(message: FromControl): Promise<void> {
    const { work } = this.#options;
    switch (message.kind) {
      case "task":
        work.task(message.task);
        return;
      case "state":
        // The other side then learns where its proof has to begin.
        if (!(await work.state(message))) this.#pong();
        return;
      case "ack":
        this.#acknowledge(message.ids);
        return;
      case "ping":
        this.#pong();
        return;
      default:
        never(message);
    }
  }

  #acknowledge(ids: readonly EventId[]): void {
    const places = ids.map((id) => this.#told.get(id)).filter((place) => place !== undefined);
    for (const id of ids) this.#told.delete(id);
    this.#options.spool.acknowledge(places);
    this.#pieces.acknowledge(ids);
    this.flush(0);
  }

  #listenForSilence(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#socket.terminate(), this.#options.tuning.silenceMs);
  }
}

function parse(text: Frame): FromControl | undefined {
  try {
    return FromControl.parse(JSON.parse(text ?? ""));
  } catch {
    return undefined;
  }
}
