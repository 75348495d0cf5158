/**
 * The door: who calls, from where, and how often they may. Every route asks it first. It is the one place that reads the `Authorization`
 * header, and it forgets it at once.
 */
import { CardeaError } from "@cardea/core/contract/errors";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Control } from "../control.ts";
import { authenticate, type Authenticated } from "../people/authenticate.ts";
import { TokenBuckets, type Rate } from "./token-bucket.ts";

export interface Rates {
  /** Calls of one signed-in subject. */
  readonly subject: Rate;
  /** Enrolling and signing in, from one address. */
  readonly signIn: Rate;
  /** Other calls without a sign-in from one address; reading a whole log takes thousands. */
  readonly anonymous: Rate;
  /** Wrong or missing tokens from one address. */
  readonly failures: Rate;
}

/** Generous to programs that work fast; what is scarce (pending requests, streams) has limits of its own. */
export const defaultRates: Rates = {
  subject: { burst: 2_000, perSecond: 500 },
  signIn: { burst: 60, perSecond: 2 },
  anonymous: { burst: 5_000, perSecond: 500 },
  failures: { burst: 50, perSecond: 1 },
};

/** How a route lets callers in: with a token, as part of signing in, or anybody. */
export type Door = "token" | "sign-in" | "anybody";

export class Entrance {
  readonly #control: Control;
  readonly #callers = new WeakMap<FastifyRequest, Authenticated>();
  readonly #open = new Set<AbortController>();
  readonly #subjects: TokenBuckets;
  readonly #signIns: TokenBuckets;
  readonly #anonymous: TokenBuckets;
  readonly #failures: TokenBuckets;

  constructor(control: Control, rates: Rates) {
    this.#control = control;
    this.#subjects = new TokenBuckets(rates.subject, control.clock);
    this.#signIns = new TokenBuckets(rates.signIn, control.clock);
    this.#anonymous = new TokenBuckets(rates.anonymous, control.clock);
    this.#failures = new TokenBuckets(rates.failures, control.clock);
  }

  /**
   * Lets a call in. @throws CardeaError `rate_limited`, or for a route that asks for a token `unauthenticated`, `sign_in_expired`,
   * `subject_inactive`
   */
  async admit(request: FastifyRequest, door: Door): Promise<Authenticated | undefined> {
    if (door !== "token") {
      limit((door === "sign-in" ? this.#signIns : this.#anonymous).take(request.ip));
      return undefined;
    }
    // Looked at before the token is, so that guessing costs no query.
    limit(this.#failures.look(request.ip));
    const result = await authenticate(this.#control, request.headers.authorization, request.ip);
    if (!result.ok) {
      limit(this.#failures.take(request.ip));
      throw new CardeaError(result.code, result.detail);
    }
    limit(this.#subjects.take(result.value.actor.subject));
    this.#callers.set(request, result.value);
    return result.value;
  }

  /** Whom `admit` let in. */
  callerOf(request: FastifyRequest): Authenticated | undefined {
    return this.#callers.get(request);
  }

  /** Aborted when the caller goes away before the answer is out, or at `close`. */
  signalOf(reply: FastifyReply): AbortSignal {
    const gone = new AbortController();
    this.#open.add(gone);
    reply.raw.once("close", () => {
      this.#open.delete(gone);
      if (!reply.raw.writableFinished) gone.abort();
    });
    return gone.signal;
  }

  /** Whoever waits gets an answer now; every stream ends. */
  close(): void {
    for (const open of this.#open) open.abort();
  }
}

function limit(waitSeconds: number): void {
  if (waitSeconds === 0) return;
  throw new CardeaError("rate_limited", `too many calls; try again in ${waitSeconds} s`, {
    extra: { retryAfterSeconds: waitSeconds },
  });
}
