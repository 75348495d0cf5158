import type { RequestView } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import type { RequestId, SubjectId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import { record } from "../audit/record.ts";
import type { Actor, Control, Tx } from "../control.ts";
import { rosterIn } from "../people/roster.ts";
import { decideRequest, manyVotes, maybeOneRequestLocked, type StoredRequest } from "../store/requests.ts";
import { transact } from "../store/transaction.ts";
import { settleRequest } from "./hold-tasks.ts";
import { concerned } from "./tell.ts";
import { maySee, requestIds, requestView } from "./view.ts";
import { rememberEnd } from "./whole.ts";

/**
 * Takes a pending request back: its requester, or whom an agent acts for. Doing it again answers with the request as it is.
 * @throws CardeaError `not_found`, `forbidden` for anybody else's, `request_not_pending`, `request_expired`
 */
export async function withdrawRequest(control: Control, actor: Actor, id: RequestId): Promise<RequestView> {
  const outcome = await transact(control, async (tx) => {
    const request = await maybeOneRequestLocked(tx, control.keys, id);
    const roster = await rosterIn(tx, control);
    const votes = request === undefined ? [] : await manyVotes(tx, control.keys, id);
    if (request === undefined || !maySee(actor, roster, request, votes))
      throw new CardeaError("not_found", `there is no request \`${id}\`, or you may not see it`);
    const { document } = request.signed;
    if (!concerned(document).includes(actor.subject))
      throw new CardeaError("forbidden", "only whoever made a request takes it back; an approver denies it");
    if (request.state === "withdrawn") return { request, votes, roster };
    if (request.state === "expired") throw new CardeaError("request_expired", "the request has expired already");
    if (request.state !== "pending")
      throw new CardeaError(
        "request_not_pending",
        `the request was ${request.state} already${request.state === "approved" ? "; release its grant instead" : ""}`,
      );
    const withdrawn = await withdrawIn(tx, control, request, { by: actor.subject });
    await settleRequest(tx, control, request.signed, "withdrawn", `withdrawn by ${actor.name}`);
    return { request: withdrawn, votes, roster };
  });
  await rememberEnd(control, outcome.request, outcome.votes.length);
  return requestView({ ...outcome, actor: actor.subject, grant: undefined, nowMs: control.clock.now() });
}

/** Withdraws in the caller's transaction, which holds the request's lock. `why`: a code, where nobody said so themselves. */
export async function withdrawIn(
  tx: Tx,
  control: Control,
  request: StoredRequest,
  { by, why }: { readonly by?: SubjectId; readonly why?: "session_closed" },
): Promise<StoredRequest> {
  const { document, digest } = request.signed;
  const now = toTime(control.clock.now());
  await decideRequest(tx, request.id, "withdrawn", now, why);
  await record(tx, control, {
    type: "request.withdrawn",
    ids: requestIds(document),
    data: { request: digest, why },
    actor: by ?? document.asked.requester.id,
  });
  control.wake.signal("requests", tx);
  return { ...request, state: "withdrawn", why, decidedAt: now };
}
