import { shortCode } from "@cardea/core/documents/digest";
import { timeMs, toTime, type Time } from "@cardea/core/documents/primitives";
import { askedRole, type Request } from "@cardea/core/documents/request";
import type { Signature } from "@cardea/core/documents/signature";
import { durationMs } from "@cardea/core/lib/duration";
import { describeAction } from "@cardea/core/policy/describe";
import { tally } from "@cardea/core/approval/tally";
import { recordAll, type AuditEvent } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import { createGrant } from "../grants/create.ts";
import type { StoredGrant } from "../store/grants.ts";
import { insertRequest, type StoredRequest } from "../store/requests.ts";
import type { Signed } from "../store/signed.ts";
import type { Ground } from "./decide-asked.ts";
import { tellApprovers } from "./tell.ts";
import { requestIds } from "./view.ts";

export interface Stored {
  readonly request: StoredRequest;
  readonly grant: StoredGrant | undefined;
}

/**
 * Stores a decided request with everything that follows from it, in the caller's transaction: its entries in the log, its approvers told, or its
 * grant. `askedSignature`: of what a session asks for.
 */
export async function storeRequest(
  tx: Tx,
  control: Control,
  ground: Ground,
  signed: Signed<Request>,
  askedSignature?: Signature,
): Promise<Stored> {
  const { document } = signed;
  const { decision } = document;
  const state = stateOf(document);
  const why = state === "denied" ? "refused_by_policy" : undefined;
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
  await insertRequest(tx, { ...request, state, expiresAt: decision.expiresAt, askedSignature });
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

/** What policy's answer makes of a request. */
export function stateOf({ decision }: Request): "pending" | "approved" | "denied" {
  return decision.effect === "review" ? "pending" : decision.effect === "allow" ? "approved" : "denied";
}

function submittedEvents(signed: Signed<Request>, state: "pending" | "approved" | "denied"): AuditEvent[] {
  const { asked, decision, facts } = signed.document;
  const ids = requestIds(signed.document);
  const what = {
    request: signed.digest,
    code: shortCode(signed.digest),
    role: askedRole(asked.ask),
    ...("action" in asked.ask && { action: asked.ask.action.name, words: describeAction(asked.ask.action) }),
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
