/**
 * Requests: filed here, decided by policy at once or by votes, withdrawn, expired, shown. One use case a file; HTTP and jobs only call them.
 * A use case answers with the view of what came of it, or throws a `CardeaError` whose code says why not. Each changes state, log and
 * follow-up work in one transaction, and believes a stored document only for its signature.
 */
import type { RequestView, SubmitRequestParsed } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import { shortCode } from "@cardea/core/documents/digest";
import { timeMs, toTime, type Time } from "@cardea/core/documents/primitives";
import { askedRole, type Asked, type Request } from "@cardea/core/documents/request";
import { durationMs } from "@cardea/core/lib/duration";
import { tally } from "@cardea/core/approval/tally";
import { demandWholeLog } from "../audit/guard.ts";
import { recordAll, type AuditEvent } from "../audit/record.ts";
import type { Actor, Control, Tx } from "../control.ts";
import { createGrant } from "../grants/create.ts";
import { rememberDebt } from "../grants/debts.ts";
import type { StoredGrant } from "../store/grants.ts";
import { insertRequest, lockRequester, onePendingCount, type StoredRequest } from "../store/requests.ts";
import type { Signed } from "../store/signed.ts";
import { transact } from "../store/transaction.ts";
import { decideAsked, readGround, reviewsOwedLocked, type Ground } from "./decide-asked.ts";
import { refuseForeignExtension, refuseMalformed } from "./refuse-malformed.ts";
import { tellApprovers } from "./tell.ts";
import { requestIds, requestView } from "./view.ts";

/** Requests of one subject that may wait at once. */
export const maxPendingRequests = 50;
/**
 * Files a request and decides it by policy: allowed with its grant, waiting for votes, or refused. A refused one is stored too, and told by
 * the error.
 * @throws CardeaError `policy_denied` (extra: `request`, `reasons`), `resource_unknown`, `role_unknown`, `delivery_key_required`,
 * `delivery_key_invalid`, `start_in_past`, `start_too_far`, `extends_invalid`, `request_limit`, `subject_inactive`, `log_rolled_back`
 */
export async function submitRequest(control: Control, actor: Actor, input: SubmitRequestParsed): Promise<RequestView> {
  demandWholeLog(control);
  const ground = await readGround(control, actor, input.resource);
  const now = control.clock.now();
  refuseMalformed(input, ground.resource, now);

  const outcome = await transact(control, async (tx) => {
    await refuseForeignExtension(tx, control, actor, input);
    // Where the debts decide they are read under the subject's lock, so that of two break-glass requests at once the second meets the first's.
    const reviewsOwed =
      input.breakGlass === true ? await reviewsOwedLocked(tx, control, ground.roster, actor) : ground.reviewsOwed;
    const request = decideAsked(control, actor, { ...ground, reviewsOwed }, input, now);
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

interface Stored {
  readonly request: StoredRequest;
  readonly grant: StoredGrant | undefined;
}

async function storeRequest(tx: Tx, control: Control, ground: Ground, signed: Signed<Request>): Promise<Stored> {
  const { document } = signed;
  const { decision, asked } = document;
  const state = decision.effect === "review" ? "pending" : decision.effect === "allow" ? "approved" : "denied";
  const why = state === "denied" ? "refused_by_policy" : undefined;
  if (state === "pending") await refuseTooMany(tx, asked);
  const remindAt =
    state === "pending" && decision.remindAfter !== undefined
      ? after(document.createdAt, decision.remindAfter)
      : undefined;
  const counted = tally({
    request: document,
    votes: [],
    entries: (id) => ground.roster.entry(id),
    now: document.createdAt,
  });
  const escalations =
    counted.state === "pending" ? counted.missing.flatMap(({ escalatesAt }) => escalatesAt ?? []).sort() : [];
  const request: StoredRequest = {
    id: document.id,
    state,
    why,
    signed,
    judgedPolicy: ground.policy.signed.document.version,
    voteCount: 0,
    remindAt,
    escalateAt: escalations[0],
    decidedAt: state === "pending" ? undefined : document.createdAt,
  };
  await insertRequest(tx, { ...request, state, expiresAt: decision.expiresAt });
  await recordAll(tx, control, submittedEvents(signed, state));
  control.wake.signal("requests", tx);
  if (counted.state === "pending")
    await tellApprovers(tx, control, ground.roster, signed, counted, "request.submitted");
  const grant =
    counted.state === "approved"
      ? await createGrant(tx, control, {
          request: signed,
          counted,
          votes: [],
          spec: ground.resource.spec,
          policy: ground.policy,
          current: ground.policy,
          roster: ground.roster,
        })
      : undefined;
  return { request, grant };
}

async function refuseTooMany(tx: Tx, { requester }: Asked): Promise<void> {
  await lockRequester(tx, requester.id);
  if ((await onePendingCount(tx, requester.id)) < maxPendingRequests) return;
  throw new CardeaError(
    "request_limit",
    `${maxPendingRequests} of your requests are pending; withdraw some with \`cardea withdraw\``,
  );
}

function submittedEvents(signed: Signed<Request>, state: "pending" | "approved" | "denied"): AuditEvent[] {
  const { asked, decision, facts } = signed.document;
  const ids = requestIds(signed.document);
  const role = askedRole(asked.ask);
  const what = {
    request: signed.digest,
    code: shortCode(signed.digest),
    role,
    justification: asked.justification,
    ticket: asked.ticket,
    duration: asked.window.duration,
    sourceIp: facts.verified.sourceIp,
  };
  const decided = { rule: decision.rule, policy: decision.policy, reasons: decision.reasons };
  const actor = asked.requester.id;
  if (state === "denied") return [{ type: "request.refused", ids, data: { ...what, ...decided }, actor }];
  const submitted: AuditEvent = {
    type: "request.submitted",
    ids,
    data: { ...what, ...decided, effect: decision.effect, breakGlass: asked.breakGlass },
    actor,
  };
  return state === "pending"
    ? [submitted]
    : [submitted, { type: "request.approved", ids, data: { request: signed.digest, rule: decision.rule } }];
}

function after(time: Time, duration: string): Time {
  return toTime(timeMs(time) + durationMs(duration));
}
