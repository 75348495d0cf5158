/**
 * Requests: filed here, decided by policy at once or by votes, withdrawn, expired, shown. One use case a file; HTTP and jobs only call them.
 * A use case answers with the view of what came of it, or throws a `CardeaError` whose code says why not. Each changes state, log and
 * follow-up work in one transaction, and believes a stored document only for its signature.
 */
import { createPublicKey } from "node:crypto";
import type { RequestView, SubmitRequestParsed } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId, type GrantId, type SubjectId } from "@cardea/core/contract/ids";
import { shortCode } from "@cardea/core/documents/digest";
import { timeMs, toTime, type Time } from "@cardea/core/documents/primitives";
import { askedRole, type Asked, type Facts, type Request } from "@cardea/core/documents/request";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { durationMs } from "@cardea/core/lib/duration";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { tally } from "@cardea/core/approval/tally";
import { decide } from "@cardea/core/policy/decide";
import { demandWholeLog } from "../audit/guard.ts";
import { recordAll, type AuditEvent } from "../audit/record.ts";
import type { Actor, Control, Tx } from "../control.ts";
import { createGrant } from "../grants/create.ts";
import { originOf } from "../grants/origin.ts";
import { demandPolicy } from "../policy/current.ts";
import { currentRoster, type RosterView } from "../people/roster.ts";
import { maybeOneGrant, manyReviewsOwed, type StoredGrant } from "../store/grants.ts";
import type { StoredPolicy } from "../store/policies.ts";
import { insertRequest, lockRequester, onePendingCount, type StoredRequest } from "../store/requests.ts";
import { resourceByName, type ResourceRow } from "../store/resources.ts";
import { signDocument, type Signed } from "../store/signed.ts";
import { transact } from "../store/transaction.ts";
import { tellApprovers } from "./tell.ts";
import { requestIds, requestView } from "./view.ts";

/** Requests of one subject that may wait at once. */
export const maxPendingRequests = 50;
/** A start this little in the past means now: clocks differ, and people type slowly. */
const startGraceMs = 60_000;
const maxStartAheadMs = 90 * 86_400_000;

/** What a request is decided on, as read before its transaction; everything is looked at again at each later step. */
interface Ground {
  readonly roster: RosterView;
  readonly policy: StoredPolicy;
  readonly resource: ResourceRow;
  /** Break-glass grants of the requester, or of whom they act for, that nobody has looked back at. */
  readonly reviewsOwed: readonly GrantId[];
}

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
      input.breakGlass === true ? await reviewsOwedLocked(tx, ground.roster, actor) : ground.reviewsOwed;
    const request = decideRequest(control, actor, { ...ground, reviewsOwed }, input, now);
    return await storeRequest(tx, control, ground, request);
  });

  const { request, grant } = outcome;
  const { decision } = request.signed.document;
  if (decision.effect === "deny") {
    throw new CardeaError("policy_denied", decision.reasons.join("; "), {
      extra: { request: request.id, reasons: decision.reasons },
    });
  }
  return requestView({ roster: ground.roster, actor: actor.subject, request, votes: [], grant, nowMs: now });
}

async function readGround(control: Control, actor: Actor, name: string): Promise<Ground> {
  const [roster, policy, resource, reviewsOwed] = await Promise.all([
    currentRoster(control),
    demandPolicy(control),
    resourceByName(control.db, name),
    manyReviewsOwed(control.db, behind(actor.entry)),
  ]);
  if (!roster.isActive(actor.subject))
    throw new CardeaError("subject_inactive", "the subject, or the one it acts for, is not active");
  if (resource === undefined)
    throw new CardeaError("resource_unknown", `there is no resource \`${name}\`; \`cardea resources\` lists them`);
  return { roster, policy, resource, reviewsOwed };
}

async function reviewsOwedLocked(tx: Tx, roster: RosterView, actor: Actor): Promise<readonly GrantId[]> {
  const subjects = behind(roster.entry(actor.subject) ?? actor.entry);
  // The one an agent acts for first, and in one order whoever asks: agent and owner never wait for each other.
  for (const subject of subjects) await lockRequester(tx, subject);
  return await manyReviewsOwed(tx, subjects);
}

/** Whose debts count: an agent's are also those of whom it acts for, or one would borrow the other's clean hands. */
function behind(entry: RosterEntry): SubjectId[] {
  return entry.actsFor === undefined ? [entry.subject] : [entry.actsFor, entry.subject];
}

function refuseMalformed(input: SubmitRequestParsed, { spec, name }: ResourceRow, nowMs: number): void {
  const role = askedRole(input.ask);
  if (role === undefined) {
    throw new CardeaError("invalid_request", "single actions cannot be asked for yet; ask for a role", {
      pointers: [{ path: "ask", message: "only `role` is offered" }],
    });
  }
  if (!Object.hasOwn(spec.roles, role)) {
    const roles = Object.keys(spec.roles).sort();
    throw new CardeaError(
      "role_unknown",
      `\`${name}\` has no role \`${role}\`; ${roles.length === 0 ? "it has none" : `its roles are ${roles.join(", ")}`}`,
    );
  }
  if (input.deliverTo === undefined) {
    throw new CardeaError("delivery_key_required", "a key is sealed to its requester: give a delivery key", {
      pointers: [{ path: "deliverTo", message: "required" }],
    });
  }
  if (!isP256Point(fromBase64Url(input.deliverTo))) {
    throw new CardeaError("delivery_key_invalid", "the delivery key is not an uncompressed point of P-256", {
      pointers: [{ path: "deliverTo", message: "not a P-256 point" }],
    });
  }
  const { start } = input.window;
  if (start === undefined) return;
  if (timeMs(start) < nowMs - startGraceMs)
    throw new CardeaError("start_in_past", `\`${start}\` is in the past; leave the start out to begin at once`);
  if (timeMs(start) > nowMs + maxStartAheadMs)
    throw new CardeaError("start_too_far", `\`${start}\` is more than 90 days away`);
}

/** SEC 1, section 2.3.4: the import fails for what is not on the curve. */
function isP256Point(bytes: Uint8Array): boolean {
  if (bytes.length !== 65 || bytes[0] !== 4) return false;
  try {
    createPublicKey({
      key: { kty: "EC", crv: "P-256", x: toBase64Url(bytes.subarray(1, 33)), y: toBase64Url(bytes.subarray(33)) },
      format: "jwk",
    });
    return true;
  } catch {
    return false;
  }
}

async function refuseForeignExtension(
  tx: Tx,
  control: Control,
  actor: Actor,
  input: SubmitRequestParsed,
): Promise<void> {
  if (input.extends === undefined) return;
  const grant = await maybeOneGrant(tx, control.keys, { id: input.extends });
  const asked = grant && (await originOf(tx, control, grant)).document.asked;
  const own =
    asked?.requester.id === actor.subject &&
    asked.resource === input.resource &&
    askedRole(asked.ask) === askedRole(input.ask);
  const open = grant?.state === "active" && timeMs(grant.signed.document.window.notAfter) > control.clock.now();
  if (!own || !open) {
    throw new CardeaError(
      "extends_invalid",
      `\`${input.extends}\` is not an active grant of yours for this role on \`${input.resource}\`; ask without extending`,
    );
  }
}

function decideRequest(
  control: Control,
  actor: Actor,
  ground: Ground,
  input: SubmitRequestParsed,
  nowMs: number,
): Signed<Request> {
  const { policy, resource, roster } = ground;
  const asked = askedOf(control, roster, actor, input);
  const facts = factsOf(ground, actor, input.asserted);
  const createdAt = toTime(nowMs);
  const decision = decide({
    policy: policy.signed.document,
    policyDigest: policy.signed.digest,
    asked,
    spec: resource.spec,
    facts,
    createdAt,
  });
  const request: Request = {
    v: 1,
    id: newId("request", control.clock, control.random),
    createdAt,
    asked,
    resource: { id: resource.id, outpost: resource.outpost, specDigest: resource.specDigest },
    facts,
    decision,
  };
  return signDocument(control.keys, "request", request);
}

function askedOf(control: Control, roster: RosterView, actor: Actor, input: SubmitRequestParsed): Asked {
  const entry = roster.entry(actor.subject) ?? actor.entry;
  const { resource, ask, justification, ticket, window, limits, via, deliverTo, breakGlass } = input;
  return {
    nonce: input.nonce ?? toBase64Url(control.random.bytes(16)),
    requester: {
      id: actor.subject,
      kind: entry.kind,
      ...(entry.actsFor !== undefined && { onBehalfOf: entry.actsFor }),
    },
    resource,
    ask,
    justification,
    ...(ticket !== undefined && { ticket }),
    window,
    ...(limits !== undefined && { limits }),
    ...(via !== undefined && { via }),
    ...(deliverTo !== undefined && { deliverTo }),
    ...(input.extends !== undefined && { extends: input.extends }),
    ...(breakGlass !== undefined && { breakGlass }),
  };
}

function factsOf({ roster, reviewsOwed }: Ground, actor: Actor, asserted: SubmitRequestParsed["asserted"]): Facts {
  const entry = roster.entry(actor.subject) ?? actor.entry;
  return {
    verified: {
      groups: entry.groups,
      claims: entry.claims,
      reviewsOwed: [...reviewsOwed],
      sourceIp: actor.sourceIp,
      ...(actor.presence.method === "sign-in" && { credential: actor.presence.credential }),
    },
    asserted: asserted ?? {},
  };
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
