/**
 * From a wish to a key in hand: files the request, waits while showing who is being waited for, fetches and opens the key. What
 * `connect`, `run`, `request` and `extend` share.
 */
import { randomUUID } from "node:crypto";
import type { RequestView, SubmitRequest } from "@cardea/core/contract/api/requests";
import type { GrantView } from "@cardea/core/contract/api/grants";
import type { DeliveredKey } from "@cardea/core/contract/delivery";
import { CardeaError } from "@cardea/core/contract/errors";
import { openSealedKey } from "@cardea/sdk/delivery-key";
import type { Context } from "../context.ts";
import { relative } from "../output/times.ts";
import { findDeliveryKey, makeDeliveryKey } from "./delivery-store.ts";

/** Files a request with a fresh delivery key. @throws ApiError as policy answers */
export async function fileRequest(context: Context, wish: Omit<SubmitRequest, "deliverTo">): Promise<RequestView> {
  const [client, home] = await Promise.all([context.client(), context.home()]);
  const { publicKey } = await makeDeliveryKey(home.directory);
  return client.submit({ ...wish, deliverTo: publicKey }, randomUUID());
}

export interface WaitLimit {
  /** Gives up with `request_pending` (exit 4). Absent: waits until it is decided. */
  readonly untilMs?: number;
}

/** Waits until the request is decided. @throws CardeaError `policy_denied`, `request_expired`, `request_pending`, … by how it ended */
export async function untilDecided(context: Context, first: RequestView, { untilMs }: WaitLimit): Promise<RequestView> {
  const { terminal, signal, nowMs } = context;
  const client = await context.client();
  let view = first;
  if (view.state === "pending") {
    terminal.note(`${view.id} (${view.code}) ${view.words}; approvers say \`cardea approve ${view.id}\``);
  }
  while (view.state === "pending") {
    const leftMs = untilMs === undefined ? Number.POSITIVE_INFINITY : untilMs - nowMs();
    if (leftMs <= 0) throw new CardeaError("request_pending", `${view.id} still waits: ${waitingFor(view)}`);
    terminal.progress(`waiting for ${waitingFor(view)}, expires ${relative(view.document.decision.expiresAt, nowMs())}`);
    view = await client.request(view.id, { wait: Math.min(30, Math.max(1, Math.ceil(leftMs / 1_000))), since: sinceOf(view), signal });
  }
  terminal.endProgress();
  switch (view.state) {
    case "approved":
      return view;
    case "denied":
      throw new CardeaError("policy_denied", `${view.id} was denied${commentOf(view)}`);
    case "withdrawn":
      throw new CardeaError("request_not_pending", `${view.id} was withdrawn`);
    case "expired":
      throw new CardeaError("request_expired", `${view.id} expired${view.why === undefined ? "" : ` (${view.why})`}; ask again`);
  }
}

/** Waits until the grant's key is there, and opens it. @throws CardeaError `grant_failed`, `grant_ended`, `key_lost`, `key_not_ready` */
export async function takeKey(context: Context, view: RequestView): Promise<{ readonly grant: GrantView; readonly key: DeliveredKey }> {
  const [client, home] = await Promise.all([context.client(), context.home()]);
  const { grant } = view;
  if (grant === undefined) throw new CardeaError("key_not_ready", `${view.id} has no grant yet`);
  if (grant.state === "scheduled") throw new CardeaError("key_not_ready", `the window of ${grant.id} begins ${relative(grant.document.window.notBefore, context.nowMs())}; then say \`cardea key ${grant.id}\``);
  const delivery = await findDeliveryKey(home.directory, view.document.asked.deliverTo, view.id);
  const sealed = await client.key(grant.id, { wait: 60, signal: context.signal });
  return { grant, key: await openSealedKey(sealed.sealed, delivery.privateKey, sealed.digest) };
}

/** What `since` names: the state and how many have voted. */
function sinceOf(view: RequestView): string {
  return `${view.state}:${String(view.votes.length)}`;
}

export function waitingFor(view: RequestView): string {
  const open = view.stages.find((stage) => stage.state === "open");
  const words = open?.requirements.filter(({ missing }) => missing > 0).map(({ words, candidates }) => {
    const names = candidates.slice(0, 4).map(({ name }) => name).join(", ");
    return names === "" ? words : `${words} (${names}${candidates.length > 4 ? ", …" : ""})`;
  });
  return words?.join(" and ") ?? "a decision";
}

function commentOf(view: RequestView): string {
  const denial = view.votes.findLast(({ vote }) => vote.verdict === "deny");
  if (denial === undefined) return view.why === undefined ? "" : ` (${view.why})`;
  return ` by ${denial.approver.name}${denial.vote.comment === "" ? "" : `: ${denial.vote.comment}`}`;
}
