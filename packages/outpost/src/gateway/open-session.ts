import type { GatewaySession, HeldAction, HoldVerdict, SessionEvent } from "@cardea/connectors/gateway";
import type { SessionId } from "@cardea/core/contract/ids";
import type { Judgement } from "@cardea/core/documents/grant";
import { timeMs } from "@cardea/core/documents/primitives";
import { never } from "@cardea/core/lib/never";
import type { SessionRecording } from "../recorder/session-recording.ts";
import type { SessionCounts } from "./events.ts";
import type { Holds } from "./holds.ts";
import { Recent } from "./recent.ts";
import { Uses } from "./uses.ts";
import type { WaitingSession } from "./waiting.ts";

export type Closed = Extract<SessionEvent, { type: "closed" }>;

export interface OpenSessionOptions {
  /** What it is to whoever approves what it waits with. */
  readonly session: Omit<WaitingSession, "recent" | "filed">;
  readonly upstream: unknown;
  readonly recordsOutput: boolean;
  readonly recording: SessionRecording;
  readonly holds: Holds;
  /** Called once, when the gateway is done with it. */
  readonly ended: (end: Closed, counts: SessionCounts) => void;
}

/** One admitted session as its gateway sees it. What happens is recorded and counted. */
export class OpenSession implements GatewaySession<unknown> {
  readonly id: SessionId;
  readonly upstream: unknown;
  readonly notAfterMs: number;
  readonly closed: AbortSignal;
  readonly recordsOutput: boolean;
  readonly judgement: Judgement;
  readonly #session: WaitingSession;
  readonly #recording: SessionRecording;
  readonly #holds: Holds;
  readonly #ended: OpenSessionOptions["ended"];
  readonly #counts = { actions: 0, rows: 0, bytesIn: 0, bytesOut: 0, refused: 0 };
  readonly #uses = new Uses();
  readonly #recent = new Recent();
  #over = false;

  constructor({ session, upstream, recordsOutput, recording, holds, ended }: OpenSessionOptions) {
    const { grant } = session.key;
    this.id = session.id;
    this.closed = session.closed;
    this.upstream = upstream;
    this.recordsOutput = recordsOutput;
    this.notAfterMs = timeMs(grant.window.notAfter);
    this.judgement = grant.judgement;
    this.#session = {
      ...session,
      recent: this.#recent,
      filed: (request, code) => recording.filed(request, code),
    };
    this.#recording = recording;
    this.#holds = holds;
    this.#ended = ended;
  }

  hold(action: HeldAction, tell: (words: string) => void, signal: AbortSignal): Promise<HoldVerdict> {
    return this.#holds.hold(this.#session, action, tell, signal);
  }

  record(event: SessionEvent): Promise<void> | undefined {
    if (this.#over) return undefined;
    const pause = this.#recording.record(event);
    this.#count(event);
    return pause;
  }

  #count(event: SessionEvent): void {
    const counts = this.#counts;
    switch (event.type) {
      case "action":
        counts.actions++;
        counts.bytesIn += Buffer.byteLength(event.text) + (event.parameters?.length ?? 0);
        this.#uses.note(event.uses);
        this.#recent.note(event.text);
        return;
      case "outcome":
        counts.rows += event.rows;
        counts.bytesOut += event.bytes;
        return;
      case "refused":
        counts.refused++;
        return;
      case "input":
        counts.bytesIn += event.bytes.length;
        return;
      // What was held and did not run is refused then.
      case "held":
      case "settled":
      case "output":
        return;
      case "closed":
        this.#over = true;
        this.#ended(event, { ...counts, uses: this.#uses.told() });
        return;
      default:
        never(event);
    }
  }
}
