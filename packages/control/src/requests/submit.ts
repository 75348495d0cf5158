/**
 * Requests: filed here, decided by policy at once or by votes, withdrawn, expired, shown. One use case a file; HTTP and jobs only call them.
 * A use case answers with the view of what came of it, or throws a `CardeaError` whose code says why not. Each changes state, log and
 * follow-up work in one transaction, and believes a stored document only for its signature.
 */
import type { RequestView, SubmitRequestParsed } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import { demandWholeLog } from "../audit/guard.ts";
import type { Actor, Control } from "../control.ts";
import { rememberDebt } from "../grants/debts.ts";
import { transact } from "../store/transaction.ts";
import { decideAsked, readGround, reviewsOwedLocked } from "./decide-asked.ts";
import { findAction } from "./find-action.ts";
import { refuseForeignExtension, refuseMalformed } from "./refuse-malformed.ts";
import { stateOf, storeRequest } from "./store-request.ts";
import { refuseTooMany } from "./too-many.ts";
import { requestView } from "./view.ts";

/**
 * Files a request and decides it by policy: allowed with its grant, waiting for votes, or refused. A refused one is stored too, and told by
 * the error. Of an action the outpost is asked first what it is and touches; where that cannot be known nothing is filed.
 * @throws CardeaError `policy_denied` (extra: `request`, `reasons`), `resource_unknown`, `role_unknown`, `delivery_key_required`,
 * `delivery_key_invalid`, `start_in_past`, `start_too_far`, `extends_invalid`, `request_limit`, `subject_inactive`, `log_rolled_back`;
 * of an action also `outpost_unreachable`, `action_refused`, `binding_changed`, `rate_limited`, `resource_…`
 */
export async function submitRequest(control: Control, actor: Actor, input: SubmitRequestParsed): Promise<RequestView> {
  demandWholeLog(control);
  const ground = await readGround(control, actor, input.resource);
  refuseMalformed(input, ground.resource, control.clock.now());
  const found =
    "role" in input.ask
      ? { ask: input.ask }
      : await findAction(control, actor, ground, input.ask.action, input.breakGlass === true);
  const now = control.clock.now();

  const outcome = await transact(control, async (tx) => {
    await refuseForeignExtension(tx, control, actor, input);
    // Where the debts decide they are read under the subject's lock, so that of two break-glass requests at once the second meets the first's.
    const reviewsOwed =
      input.breakGlass === true ? await reviewsOwedLocked(tx, control, ground.roster, actor) : ground.reviewsOwed;
    const request = decideAsked(control, actor, { ...ground, reviewsOwed }, input, found, now);
    if (stateOf(request.document) === "pending") await refuseTooMany(tx, request.document.asked);
    return await storeRequest(tx, control, ground, request);
  });

  const { request, grant } = outcome;
  if (grant?.reviewDueAt !== undefined) await rememberDebt(control, request.signed.document, grant.id);
  const { decision } = request.signed.document;
  if (decision.effect === "deny") {
    throw new CardeaError("policy_denied", decision.reasons.join("; "), {
      extra: { request: request.id, reasons: decision.reasons },
    });
  }
  return requestView({ roster: ground.roster, actor: actor.subject, request, votes: [], grant, nowMs: now });
}
