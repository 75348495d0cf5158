/**
 * From a wish to a key in hand: files the request, waits while showing who is being waited for, fetches and opens the key. What
 * `connect`, `run`, `request`, `key` and `extend` share.
 */
import type { GrantView } from "@cardea/core/wire/api/grants";
import type { RequestView, SubmitRequest } from "@cardea/core/wire/api/requests";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { CardeaError, errors } from "@cardea/core/contract/errors";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { openSealedKey } from "@cardea/sdk/delivery-key";
import type { Context } from "../context.ts";
import { denialWords, voteWords, waitingFor } from "../output/request-words.ts";
import { relative } from "../output/times.ts";
import { findDeliveryKey, forgetDeliveryKey, makeDeliveryKey } from "./delivery-store.ts";
import { persistently } from "./persistently.ts";

/** Longest that one call asks the server to wait, in seconds. */
const pollSeconds = 30;

export interface WaitLimit {
  /** Gives up with `request_pending` (exit 4). Absent: waits until it is decided. */
  readonly untilMs?: number;
}

/** Files a request with a fresh delivery key. @throws ApiError as policy answers */
export async function fileRequest(context: Context, wish: Omit<SubmitRequest, "deliverTo">): Promise<RequestView> {
  const [client, { directory }] = await Promise.all([context.client(), context.home()]);
  const { publicKey } = await makeDeliveryKey(directory);
  // With a key of its own the call may be repeated: it files one request however often it arrives.
  const idempotencyKey = toBase64Url(context.random.bytes(16));
  try {
    return await persistently(context, { attempts: 3 }, () =>
      client.submit({ ...wish, deliverTo: publicKey }, idempotencyKey),
    );
  } catch (error) {
    // Where it is not known whether the request was filed, the key is kept for it.
    if (error instanceof CardeaError && !errors[error.code].retryable) await forgetDeliveryKey(directory, publicKey);
    throw error;
  }
}

/**
 * Waits until the request is decided, over interruptions of the network too.
 * @throws CardeaError `policy_denied`, `request_expired`, `request_pending`, `cancelled`, … by how it ended
 */
export async function untilDecided(context: Context, first: RequestView, limit: WaitLimit): Promise<RequestView> {
  const view = first.state === "pending" ? await untilNotPending(context, first, limit) : first;
  if (view.state === "approved") return view;
  await forgetDeliveryKey((await context.home()).directory, view.document.asked.deliverTo);
  switch (view.state) {
    case "denied":
      throw new CardeaError("policy_denied", `${view.id} was denied${denialWords(view)}`);
    case "withdrawn":
      throw new CardeaError("request_not_pending", `${view.id} was withdrawn`);
    case "expired":
      throw new CardeaError(
        "request_expired",
        `${view.id} expired${view.why === undefined ? "" : ` (${view.why})`}; ask again`,
      );
    case "pending":
      throw new TypeError("waiting ended before the request was decided");
  }
}

async function untilNotPending(
  context: Context,
  first: RequestView,
  { untilMs = Number.POSITIVE_INFINITY }: WaitLimit,
): Promise<RequestView> {
  const { terminal, signal, nowMs } = context;
  const { id } = first;
  const client = await context.client();
  terminal.note(`${id} (${first.code}) ${first.words}; approvers say \`cardea approve ${id}\``);
  let view = first;
  const waiting = () =>
    `waiting for ${waitingFor(view)}, expires ${relative(view.document.decision.expiresAt, nowMs())} (Ctrl-C leaves it pending)`;
  return terminal.during(waiting, async () => {
    while (view.state === "pending") {
      const leftMs = untilMs - nowMs();
      if (leftMs <= 0) throw new CardeaError("request_pending", stillPending(view));
      const wait = Math.min(pollSeconds, Math.ceil(leftMs / 1_000));
      const since = `${view.state}:${view.votes.length}`;
      const before = view;
      view = await persistently(context, {}, () => client.request(id, { wait, since, signal })).catch(
        (error: unknown) => {
          throw signal.aborted ? new CardeaError("cancelled", stillPending(before), { cause: error }) : error;
        },
      );
      for (const vote of view.votes.slice(before.votes.length)) terminal.note(voteWords(vote));
    }
    return view;
  });
}

/** Waits until the grant's key is there, and opens it. @throws CardeaError `grant_failed`, `grant_ended`, `key_lost`, `key_not_ready`, `cancelled` */
export async function takeKey(
  context: Context,
  view: RequestView,
): Promise<{ readonly grant: GrantView; readonly key: DeliveredKey }> {
  const [client, home] = await Promise.all([context.client(), context.home()]);
  const { grant } = view;
  if (grant === undefined) throw new CardeaError("key_not_ready", `${view.id} has no grant yet`);
  if (grant.state === "scheduled") {
    throw new CardeaError(
      "key_not_ready",
      `the window of ${grant.id} begins ${relative(grant.document.window.notBefore, context.nowMs())}; then say \`cardea key ${view.id}\``,
    );
  }
  if (grant.state === "ended" || grant.state === "failed") {
    throw new CardeaError(
      grant.state === "ended" ? "grant_ended" : "grant_failed",
      `${grant.id} ${grant.state}${grant.why === undefined ? "" : ` (${grant.why})`}${grant.detail === undefined ? "" : `: ${grant.detail}`}; ask again`,
    );
  }
  const delivery = await findDeliveryKey(home.directory, view.document.asked.deliverTo, view.id);
  const sealed = await persistently(context, { attempts: 5 }, () =>
    client.key(grant.id, { wait: pollSeconds, signal: context.signal }),
  );
  return { grant, key: await openSealedKey(sealed.sealed, delivery.privateKey, sealed.digest) };
}

function stillPending(view: RequestView): string {
  const goOn = "role" in view.document.asked.ask ? "key" : "result";
  return `${view.id} still waits for ${waitingFor(view)}; \`cardea ${goOn} ${view.id}\` goes on waiting, \`cardea withdraw ${view.id}\` takes it back`;
}
