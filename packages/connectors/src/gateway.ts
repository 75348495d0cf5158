/**
 * The port between the outpost and the part of a connector that speaks a resource's own protocol. The outpost listens and hands over each
 * accepted connection; the gateway speaks the wire and asks the host for everything that is decided: whom to admit, by which
 * judgement, when a held action may run. It reports what was done. The gateway keeps nothing beyond its connections, knows no policy and
 * no store, and cannot reach the resource with anything but the login that it was handed for the session.
 *
 * The order of calls for a session: `admit`, then any of `hold` and `record`, and once, as the very last, `record` of `closed`.
 */
import type { Socket } from "node:net";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import type { Judgement } from "@cardea/core/documents/grant";
import type { Action } from "@cardea/core/documents/request";
import type { Pattern } from "@cardea/core/documents/pattern";
import type { SessionId } from "@cardea/core/contract/ids";

/** A gateway of one kind of resource: one for each listener, for any number of resources and sessions. */
export interface Gateway {
  /** Takes an accepted connection over, its errors and its end included. Never throws. */
  accept(socket: Socket): void;
  /** Connections that have not been admitted, and sessions. */
  readonly open: { readonly arriving: number; readonly sessions: number };
  /** Ends every connection in the protocol's own words and waits until all are gone. Accepts nothing afterwards. */
  close(words: string): Promise<void>;
}

/** What a gateway is opened with beside its host. */
export interface GatewaySurroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: {
    debug(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

/** What a gateway may ask of its outpost. `Upstream` is how the connector reaches the resource for one session. */
export interface GatewayHost<Upstream> {
  /**
   * Decides about one arrival: finds the key, has the secret proven, checks window, addresses, sessions, uses and policy, and makes the
   * session's own login at the resource. An unknown key costs the same time and gets the same words as a wrong secret. A session that
   * was admitted is always ended by `record({ type: "closed" })`. Never rejects for what a client did; rejects with `CardeaError` for
   * the host's own faults, which the client is told of as "unavailable" without details.
   *
   * @param signal aborted when the client has gone or took too long; then nothing is left made
   */
  admit(arrival: Arrival, credential: Credential, signal: AbortSignal): Promise<Admission<Upstream>>;
}

/** Somebody at the door. Everything but the addresses and the channel is only said by the client. */
export interface Arrival {
  readonly keyId: string;
  /** The resource, where the protocol names it (an HTTP host or path); a PostgreSQL key has but one. */
  readonly resource?: string;
  readonly database?: string;
  readonly application?: string;
  /** The client's address: from the trusted proxy's header where there is one, else the connection's. */
  readonly source: { readonly address: string; readonly port: number };
  /** The TLS version, such as `TLSv1.3`; absent in the clear. */
  readonly tls?: string;
}

/**
 * How the secret is shown. Where the protocol sends it, it is here. Where it is proven by a challenge, the host finds the key's verifier
 * and calls `prove` with it, exactly once and whatever it found; for an unknown key with one that stands in.
 */
export type Credential =
  | { readonly kind: "secret"; readonly secret: string }
  | { readonly kind: "scram"; prove(verifier: ScramVerifier): Promise<boolean> };

/** What is kept of a secret to check a SCRAM-SHA-256 proof (RFC 5802, section 3). It does not suffice to sign in. */
export interface ScramVerifier {
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

export type Admission<Upstream> =
  | { readonly is: "admitted"; readonly session: GatewaySession<Upstream> }
  | {
      readonly is: "refused";
      /**
       * `unproven`: no such key, or not its secret; the gateway uses its own words, always the same. `forbidden`: proven, but not now,
       * not from there, not any more. `full`: as many sessions as allowed are open. `unavailable`: the host or the resource cannot.
       */
      readonly because: "unproven" | "forbidden" | "full" | "unavailable";
      /** For the client; a sentence that says what to do next. */
      readonly words: string;
    };

/** One admitted session. */
export interface GatewaySession<Upstream> {
  readonly id: SessionId;
  readonly upstream: Upstream;
  /** The grant's deadline, milliseconds since the epoch. The gateway closes the session then, whatever the host does. */
  readonly notAfterMs: number;
  /** Aborted with a `SessionEnd` as its reason when the session must end now. */
  readonly closed: AbortSignal;
  /** Whether the rows or bodies that come back are recorded too, as `output`. */
  readonly recordsOutput: boolean;
  /** Policy's answer for every single action, compiled into the grant: applied here by core's `judge`, without a round trip. */
  readonly judgement: Judgement;
  /**
   * Files an action request for exactly this action and waits. Resolves with `run` once approved and once the session's login may do it:
   * then the gateway runs it and calls `settle`, always. Rejects only for faults of the host, with words for the client.
   *
   * @param tell  words for the waiting client: link, digest code, progress
   * @param signal aborted when the client withdraws, vanishes, or the session ends; then the verdict is `withdrawn`
   */
  hold(action: HeldAction, tell: (words: string) => void, signal: AbortSignal): Promise<HoldVerdict>;
  /**
   * Takes one event, at once and in order; never throws. A promise asks the gateway to take nothing more from this client until it
   * resolves; a recorder that cannot keep up, or has no room, ends the session through `closed`. Bytes in an event are views that are
   * valid during the call only.
   */
  record(event: SessionEvent): Promise<void> | undefined;
}

/** Why a session is ended by the host. */
export interface SessionEnd {
  readonly why: "deadline" | "revoked" | "released" | "killed" | "recorder" | "shutdown" | "policy";
  /** For the client, in the protocol's own form. */
  readonly words: string;
}

/** An action that waits for approval. */
export interface HeldAction {
  /** As an action request states it: the exact statement or call and what it binds to. */
  readonly action: Action;
  /** Everything it touches: what the login must be able to do while it runs. */
  readonly patterns: readonly Pattern[];
  /** It waits inside an open transaction, which holds locks: the host allows less time for that. */
  readonly inTransaction: boolean;
}

export type HoldVerdict =
  | {
      readonly is: "run";
      /** The native role under which it runs, where its privileges come by ownership (DDL). */
      readonly as?: string;
      /**
       * Makes durable that the action's bytes are about to be sent, before they are. After a crash from here on it may have happened.
       *
       * @param trace what lets a later look find out whether it did, in the resource's terms (a transaction id)
       */
      started(trace: string | undefined): Promise<void>;
      /**
       * Tells how it went and takes the privileges back. Called exactly once, before anything else of the session runs; where it
       * rejects, or says `end`, the session is closed.
       */
      settle(outcome: HeldOutcome): Promise<{ readonly end?: SessionEnd }>;
    }
  | { readonly is: "refused" | "expired" | "withdrawn"; readonly words: string };

export interface HeldOutcome {
  /** `unknown`: the connection broke while it ran, so it may have happened. */
  readonly outcome: "done" | "failed" | "unknown";
  readonly rows?: number;
  /** Where it failed: the resource's own code and words. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** What happened in a session, for the recording. `action` numbers are unique in the session and rise. */
export type SessionEvent =
  /** An action was passed on. `parameters` as they were on the wire. */
  | {
      readonly type: "action";
      readonly action: number;
      readonly atMs: number;
      readonly text: string;
      readonly parameters?: Uint8Array;
      readonly approved: boolean;
      /** What it touched, as it was judged: for counting which permissions are used. The same array for the same text. */
      readonly uses: readonly Pattern[];
    }
  /** An action that was passed on has ended. `bytes` were sent to the client. */
  | {
      readonly type: "outcome";
      readonly action: number;
      readonly atMs: number;
      readonly outcome: "done" | "failed" | "unknown";
      readonly rows: number;
      readonly bytes: number;
      readonly error?: { readonly code: string; readonly message: string };
    }
  /** An action was refused and not passed on. */
  | {
      readonly type: "refused";
      readonly action: number;
      readonly atMs: number;
      readonly text: string;
      readonly words: string;
    }
  | { readonly type: "held"; readonly action: number; readonly atMs: number; readonly text: string }
  | {
      readonly type: "settled";
      readonly action: number;
      readonly atMs: number;
      readonly verdict: HoldVerdict["is"] | "fault";
    }
  /** Bytes of the client that belong to an action (COPY, an upload), and of the answer where the session records them. */
  | { readonly type: "input" | "output"; readonly action: number; readonly bytes: Uint8Array }
  | {
      readonly type: "closed";
      readonly atMs: number;
      readonly why: SessionEnd["why"] | "client" | "vanished" | "resource" | "protocol" | "fault";
      readonly words: string;
    };
