import type { RequestId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import { record } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import { rosterIn, type RosterView } from "../people/roster.ts";
import { decideRequest, manyVotes, maybeOneRequestLocked, type StoredRequest } from "../store/requests.ts";
import { transact } from "../store/transaction.ts";
import { settleRequest } from "./hold-tasks.ts";
import { tellRequester } from "./tell.ts";
import { requestIds } from "./view.ts";

/** Why a request expired, as stored and shown. */
export type ExpiryReason = "timed_out" | "policy_changed" | "resource_changed" | "standing_lost";

const words: Record<ExpiryReason, string> = {
  timed_out: "expired: nobody decided in time",
  policy_changed: "expired: the policy that decided it has changed; ask again",
  resource_changed: "expired: the resource has changed; ask again",
  standing_lost: "expired: the requester may not ask for it any more",
};

/** Expires a pending request whose time is over. Does nothing where it was decided meanwhile. */
export async function expireRequest(control: Control, id: RequestId): Promise<void> {
  await transact(control, async (tx) => {
    const request = await maybeOneRequestLocked(tx, control.keys, id);
    if (request?.state !== "pending" || request.signed.document.decision.expiresAt > toTime(control.clock.now()))
      return;
    await expireIn(tx, control, await rosterIn(tx, control), request, "timed_out");
  });
}

/** Expires in the caller's transaction, which holds the request's lock. */
export async function expireIn(
  tx: Tx,
  control: Control,
  roster: RosterView,
  request: StoredRequest,
  why: ExpiryReason,
): Promise<void> {
  const { signed } = request;
  await decideRequest(tx, request.id, "expired", toTime(control.clock.now()), why);
  const voters = (await manyVotes(tx, control.keys, request.id)).map((vote) => vote.document.approver);
  await record(tx, control, {
    type: "request.expired",
    ids: requestIds(signed.document),
    data: { request: signed.digest, why, voters },
  });
  await tellRequester(tx, control, roster, signed, "request.expired", words[why]);
  await settleRequest(tx, control, signed, "expired", words[why]);
  control.wake.signal("requests", tx);
}
