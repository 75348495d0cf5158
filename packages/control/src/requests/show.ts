import type { RequestView } from "@cardea/core/contract/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import type { RequestId } from "@cardea/core/contract/ids";
import type { Actor, Control } from "../control.ts";
import { currentRoster } from "../people/roster.ts";
import { maybeOneGrant } from "../store/grants.ts";
import { manyVotes, maybeOneRequest } from "../store/requests.ts";
import { maySee, requestView } from "./view.ts";

/** Waiting for something to change. */
export interface Waiting {
  /** How long at most; 0 or absent answers at once. */
  readonly waitMs?: number;
  /** What the caller knows: a state, and optionally the number of votes (`pending`, `pending:1`). Absent waits for any change of them. */
  readonly since?: string | undefined;
  readonly signal?: AbortSignal;
}

/**
 * One request with its votes and grant; with `waitMs`, as soon as its state or number of votes differs from `since`.
 * @throws CardeaError `not_found`, also for what the caller may not see; `evidence_signature` where it was altered in the database
 */
export async function showRequest(control: Control, actor: Actor, id: RequestId, { waitMs = 0, since, signal }: Waiting = {}): Promise<RequestView> {
  const until = control.clock.now() + waitMs;
  let known = since;
  for (;;) {
    const waiting = waitFor(control, until - control.clock.now(), signal);
    const view = await readRequest(control, actor, id);
    known ??= `${view.state}:${view.votes.length}`;
    const same = known === view.state || known === `${view.state}:${view.votes.length}`;
    if (!same || control.clock.now() >= until || signal?.aborted === true) {
      waiting.stop();
      return view;
    }
    await waiting.done;
  }
}

/** Starts listening for a change before the caller looks. */
function waitFor(control: Control, timeoutMs: number, signal: AbortSignal | undefined): { readonly done: Promise<void>; stop(): void } {
  if (timeoutMs <= 0) return { done: Promise.resolve(), stop: () => undefined };
  const stopping = new AbortController();
  const aborted = signal === undefined ? stopping.signal : AbortSignal.any([signal, stopping.signal]);
  // A hint from another process may be lost: look again now and then.
  const done = control.wake.wait("requests", Math.min(timeoutMs, lookAgainMs), aborted);
  return { done, stop: () => stopping.abort() };
}

const lookAgainMs = 2_000;

async function readRequest(control: Control, actor: Actor, id: RequestId): Promise<RequestView> {
  const [request, votes, grant, roster] = await Promise.all([
    maybeOneRequest(control.db, control.keys, id),
    manyVotes(control.db, control.keys, id),
    maybeOneGrant(control.db, control.keys, { request: id }),
    currentRoster(control),
  ]);
  if (request === undefined || !maySee(actor, roster, request, votes)) throw new CardeaError("not_found", `there is no request \`${id}\`, or you may not see it`);
  return requestView({ roster, actor: actor.subject, request, votes, grant, nowMs: control.clock.now() });
}
