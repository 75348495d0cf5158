import type { HoldVerdict } from "@cardea/connectors/gateway";
import type { LeaseId, RequestId, SessionId } from "@cardea/core/contract/ids";
import type { Asked } from "@cardea/core/documents/request";
import { canonicalJson } from "@cardea/core/documents/canonical";
import type { ResourceHost } from "../resources/host.ts";
import type { OpenKey } from "../store/keys.ts";
import type { Recent } from "./recent.ts";

/** A session as far as what it waits with needs it. */
export interface WaitingSession {
  readonly id: SessionId;
  readonly key: OpenKey;
  readonly host: ResourceHost;
  /** The session's own login. */
  readonly login: { readonly lease: LeaseId; readonly nativeName: string; readonly deadlineMs: number };
  readonly sourceAddress: string;
  readonly closed: AbortSignal;
  readonly recent: Recent;
  /** Its request is known, for the recording. */
  readonly filed: (request: RequestId, code: string) => void;
}

/**
 * One action that a session waits with. Of all that can end the waiting (people, policy, the client, time) exactly one does, whichever comes
 * first: `stop` says who was it. Whoever stopped it concludes it.
 */
export class Waiting {
  readonly session: WaitingSession;
  readonly asked: Asked;
  readonly verdict: Promise<HoldVerdict>;
  /** Aborted when nobody waits for the verdict any more. */
  readonly left: AbortSignal;
  readonly #text: string;
  readonly #tell: (words: string) => void;
  #conclude: (verdict: HoldVerdict) => void = () => undefined;
  #stopped = false;
  #filed = false;

  constructor(session: WaitingSession, asked: Asked, tell: (words: string) => void, left: AbortSignal) {
    this.session = session;
    this.asked = asked;
    this.left = left;
    this.#tell = tell;
    this.#text = canonicalJson(asked);
    this.verdict = new Promise((resolve) => (this.#conclude = resolve));
  }

  get filed(): boolean {
    return this.#filed;
  }

  /** Whether it is, byte for byte, what was asked for here. */
  asks(asked: Asked): boolean {
    return canonicalJson(asked) === this.#text;
  }

  /** Words for the client, for as long as it waits. */
  tell(words: string): void {
    if (!this.#stopped) this.#tell(words);
  }

  /** The control plane knows of it. Told again, it says nothing new. */
  noteFiled(request: RequestId, code: string, words: string): void {
    if (this.#filed) return;
    this.#filed = true;
    this.session.filed(request, code);
    this.tell(words);
  }

  /** Whether the caller is the first. */
  stop(): boolean {
    if (this.#stopped) return false;
    this.#stopped = true;
    return true;
  }

  /** By who stopped it. */
  conclude(verdict: HoldVerdict): void {
    this.#conclude(verdict);
  }
}
