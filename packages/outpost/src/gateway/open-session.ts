import type { GatewaySession, HeldAction, HoldVerdict, SessionEvent } from "@cardea/connectors/gateway";
import type { SessionId } from "@cardea/core/contract/ids";
import type { Grant, Judgement } from "@cardea/core/documents/grant";
import { timeMs } from "@cardea/core/documents/primitives";
import { never } from "@cardea/core/lib/never";
import type { SessionCounts } from "./events.ts";
import type { Place } from "./sessions.ts";

export type Closed = Extract<SessionEvent, { type: "closed" }>;

export interface OpenSessionOptions {
  readonly place: Place;
  readonly grant: Grant;
  readonly upstream: unknown;
  /** Called once, when the gateway is done with it. */
  readonly ended: (end: Closed, counts: SessionCounts) => void;
}

/** One admitted session as its gateway sees it. What happens is counted, not kept. */
export class OpenSession implements GatewaySession<unknown> {
  readonly id: SessionId;
  readonly upstream: unknown;
  readonly notAfterMs: number;
  readonly closed: AbortSignal;
  readonly recordsOutput = false;
  readonly judgement: Judgement;
  readonly #ended: OpenSessionOptions["ended"];
  readonly #counts = { actions: 0, rows: 0, bytesIn: 0, bytesOut: 0, refused: 0 };
  #over = false;

  constructor({ place, grant, upstream, ended }: OpenSessionOptions) {
    this.id = place.id;
    this.closed = place.closed;
    this.upstream = upstream;
    this.notAfterMs = timeMs(grant.window.notAfter);
    this.judgement = grant.judgement;
    this.#ended = ended;
  }

  hold({ action }: HeldAction): Promise<HoldVerdict> {
    const words = `\`${action.name}\` is not covered by this key: ask for a role that covers it with \`cardea request\``;
    return Promise.resolve({ is: "refused", words });
  }

  record(event: SessionEvent): undefined {
    if (this.#over) return;
    const counts = this.#counts;
    switch (event.type) {
      case "action":
        counts.actions++;
        counts.bytesIn += Buffer.byteLength(event.text) + (event.parameters?.length ?? 0);
        return;
      case "outcome":
        counts.rows += event.rows;
        counts.bytesOut += event.bytes;
        return;
      case "refused":
        counts.refused++;
        return;
      case "settled":
        if (event.verdict !== "run") counts.refused++;
        return;
      case "input":
        counts.bytesIn += event.bytes.length;
        return;
      case "held":
      case "output":
        return;
      case "closed":
        this.#over = true;
        this.#ended(event, counts);
        return;
      default:
        never(event);
    }
  }
}
