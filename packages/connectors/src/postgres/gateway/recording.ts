/** Numbers the actions of one session and tells the recorder of each, in order. Keeps the promise of a recorder that wants a pause. */
import type { Clock } from "@cardea/core/lib/clock";
import type { Pattern } from "@cardea/core/documents/pattern";
import type { GatewaySession, HoldVerdict, SessionEvent } from "../../gateway.ts";

export class Recording {
  readonly #session: Pick<GatewaySession<unknown>, "record">;
  readonly #clock: Clock;
  #last = 0;
  /** The action whose outcome somebody waits for, with that once it is known. */
  watched: Watched | undefined;
  /** Set while the recorder wants nothing more from this client. */
  pause: Promise<void> | undefined;

  constructor(session: Pick<GatewaySession<unknown>, "record">, clock: Clock) {
    this.#session = session;
    this.#clock = clock;
  }

  next(): number {
    return ++this.#last;
  }

  action(
    action: number,
    text: string,
    parameters: Uint8Array | undefined,
    approved: boolean,
    uses: readonly Pattern[],
  ): void {
    const atMs = this.#clock.now();
    this.#record(
      parameters === undefined
        ? { type: "action", action, atMs, text, approved, uses }
        : { type: "action", action, atMs, text, parameters, approved, uses },
    );
  }

  outcome(action: number, outcome: "done" | "failed" | "unknown", rows: number, bytes: number, error?: Failure): void {
    const atMs = this.#clock.now();
    if (this.watched?.action === action) this.watched = { action, outcome, rows, error };
    this.#record(
      error === undefined
        ? { type: "outcome", action, atMs, outcome, rows, bytes }
        : { type: "outcome", action, atMs, outcome, rows, bytes, error },
    );
  }

  /** What had been done was undone when its transaction should have been committed. */
  uncommitted(error: Failure): void {
    if (this.watched?.outcome === "done")
      this.watched = { action: this.watched.action, outcome: "failed", rows: 0, error };
  }

  refused(text: string, words: string): void {
    this.#record({ type: "refused", action: this.next(), atMs: this.#clock.now(), text, words });
  }

  held(action: number, text: string): void {
    this.#record({ type: "held", action, atMs: this.#clock.now(), text });
  }

  settled(action: number, verdict: HoldVerdict["is"] | "fault"): void {
    this.#record({ type: "settled", action, atMs: this.#clock.now(), verdict });
  }

  data(type: "input" | "output", action: number, bytes: Uint8Array): void {
    this.#record({ type, action, bytes });
  }

  closed(why: Extract<SessionEvent, { type: "closed" }>["why"], words: string): void {
    this.#record({ type: "closed", atMs: this.#clock.now(), why, words });
  }

  #record(event: SessionEvent): void {
    const wait = this.#session.record(event);
    if (wait === undefined) return;
    this.pause = wait;
    const over = (): void => {
      if (this.pause === wait) this.pause = undefined;
    };
    wait.then(over, over);
  }
}

export interface Failure {
  readonly code: string;
  readonly message: string;
}

export interface Watched {
  readonly action: number;
  readonly outcome?: "done" | "failed" | "unknown";
  readonly rows?: number;
  readonly error?: Failure | undefined;
}
