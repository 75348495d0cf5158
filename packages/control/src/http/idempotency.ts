/**
 * `Idempotency-Key`: a call that makes something may carry a key, and repeating it within a day gives the first call's answer
 * instead of making it twice. Keys belong to the subject; the same key with another body is refused. Of two at once one runs and
 * the other waits for its answer. Refusals are answers too. A call that was cut off (a crash, a fault after which it is not known whether
 * it took effect) is not run again: the caller is told to look.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CardeaError, errors } from "@cardea/core/contract/errors";
import type { SubjectId } from "@cardea/core/contract/ids";
import { timeMs, toTime } from "@cardea/core/documents/primitives";
import { toBase64Url } from "@cardea/core/lib/base64url";
import type { Control } from "../control.ts";
import { claimCall, keepAnswer, maybeOneCall, releaseCall, type IdempotentCall } from "../store/api-state.ts";
import { keyedHash, seal, unseal } from "../store/sealed.ts";
import { asCardeaError } from "./problem.ts";

const keptMs = 24 * 3_600_000;
/** Longer than any call that makes something may take. */
const claimMs = 60_000;
const pollMs = 50;
const maxWaitMs = 30_000;

/** An answer as it goes out: status and body text. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface KeyedCall {
  readonly subject: SubjectId;
  readonly key: string;
  /** Method, path and parsed body. */
  readonly input: object;
  readonly signal: AbortSignal;
}

/** The key of a header, checked: 1 to 255 visible ASCII characters. @throws CardeaError `invalid_request` */
export function idempotencyKey(header: string | readonly string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  if (typeof header === "string" && /^[\x21-\x7e]{1,255}$/.test(header)) return header;
  throw new CardeaError("invalid_request", "an `Idempotency-Key` has 1 to 255 visible ASCII characters", {
    pointers: [{ path: "headers.idempotency-key", message: "not a key" }],
  });
}

/**
 * Runs the call, or gives the answer that it got before. `run` answers; `refuse` turns an error into the answer that a caller gets.
 * @throws CardeaError `idempotency_conflict`; `conflict` where the first call is still running or was cut off; what `run` throws
 */
export async function oncePerKey(
  control: Control,
  call: KeyedCall,
  run: () => Promise<Answer>,
  refuse: (error: CardeaError) => Answer,
): Promise<Answer> {
  const now = control.clock.now();
  const claim = toBase64Url(control.random.bytes(16));
  const fingerprint = keyedHash(control, "idempotency", call.input);
  const row = await claimCall(
    control.db,
    {
      subject_id: call.subject,
      key: call.key,
      fingerprint,
      claim,
      claimed_until: toTime(now + claimMs),
      expires_at: toTime(now + keptMs),
    },
    toTime(now),
  );
  if (row.fingerprint !== fingerprint)
    throw new CardeaError(
      "idempotency_conflict",
      "this `Idempotency-Key` was used before with another call; take a new key",
    );
  if (row.claim !== claim) return answerOf(control, row, call);
  try {
    const answer = await run();
    await keep(control, call, claim, answer);
    return answer;
  } catch (thrown) {
    const error = asCardeaError(thrown);
    const { status, retryable } = errors[error.code];
    // A refusal certainly did nothing; a fault may have come after the commit, so its key stays taken.
    if (status < 500 && retryable) await releaseCall(control.db, call, claim);
    else if (status < 500) await keep(control, call, claim, refuse(error));
    throw error;
  }
}

async function keep(control: Control, call: KeyedCall, claim: string, answer: Answer): Promise<void> {
  await keepAnswer(control.db, call, claim, answer.status, seal(control, "idempotency", contextOf(call), answer.body));
}

/** Waits for whoever holds the key. */
async function answerOf(control: Control, first: IdempotentCall, call: KeyedCall): Promise<Answer> {
  const untilMs = control.clock.now() + maxWaitMs;
  for (let row: IdempotentCall | undefined = first; row !== undefined; row = await maybeOneCall(control.db, call)) {
    if (row.status !== null && row.answer !== null) {
      const body = unseal(control, "idempotency", contextOf(call), row.answer);
      if (body === undefined) throw new TypeError("a kept answer does not open; was it changed beside Cardea?");
      return { status: row.status, body };
    }
    const now = control.clock.now();
    if (timeMs(row.claimed_until) <= now)
      throw new CardeaError(
        "conflict",
        "the first call with this `Idempotency-Key` was cut off; look whether it took effect, then use a new key",
      );
    if (now >= untilMs || call.signal.aborted) break;
    await sleep(pollMs);
  }
  throw new CardeaError("conflict", "the first call with this `Idempotency-Key` has not been answered yet; try again");
}

function contextOf({ subject, key }: KeyedCall): string {
  return `${subject} ${key}`;
}
