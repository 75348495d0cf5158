/**
 * Actions that a session keeps waiting. An outpost tells of each in the requester's name; here it is filed like any other request, but only
 * after all that the outpost says was compared with what the control plane itself knows of the session's grant. Runs in the link's transaction.
 * What cannot be filed is told to the waiting session, so that nobody waits for nothing.
 */
import type { Enrolment } from "@cardea/core/wire/enrolment";
import type { LinkEvent } from "@cardea/core/wire/link";
import { ActionHeld, ActionWithdrawn, heldWindow } from "@cardea/core/wire/action-events";
import { CardeaError } from "@cardea/core/contract/errors";
import { GrantId, SessionId } from "@cardea/core/contract/ids";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { digestOf, shortCode } from "@cardea/core/documents/digest";
import { JsonValue, timeMs, toPlainText } from "@cardea/core/documents/primitives";
import type { Asked, Facts, Request } from "@cardea/core/documents/request";
import { verifyDigest } from "@cardea/core/documents/signature";
import { fromBase64Url } from "@cardea/core/lib/base64url";
import { sessionFact } from "@cardea/core/policy/asked";
import { describeAction } from "@cardea/core/policy/describe";
import { demandWholeLog } from "../audit/guard.ts";
import { record } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import { endGrantIn } from "../grants/end.ts";
import { originOf } from "../grants/origin.ts";
import { ownGrant } from "../grants/outcomes.ts";
import { rosterIn } from "../people/roster.ts";
import { maybeOneGrant, maybeOneGrantLocked, type StoredGrant } from "../store/grants.ts";
import type { StoredPolicy } from "../store/policies.ts";
import { manyWaitingWithin, maybeOneHeldLocked } from "../store/requests.ts";
import { resourceById } from "../store/resources.ts";
import { maybeOneSession, type StoredSession } from "../store/sessions.ts";
import { behind, reviewsOwed, signRequest, type Ground } from "./decide-asked.ts";
import { expireIn } from "./expire.ts";
import { settleHold, settleRequest, tellHold } from "./hold-tasks.ts";
import { stateOf, storeRequest } from "./store-request.ts";
import { whyTooMany } from "./too-many.ts";
import { requestIds } from "./view.ts";
import { withdrawIn } from "./withdraw.ts";

/** One hold as it was told of. */
interface Told extends ActionHeld {
  readonly event: LinkEvent;
  readonly outpost: Enrolment;
  /** The session's own grant, locked. */
  readonly grant: StoredGrant;
  /** From which that grant came. */
  readonly origin: Request;
  readonly session: SessionId;
}

/**
 * Files what a session asks for, or says why not. Telling of a hold again changes nothing, by its nonce.
 * @throws CardeaError `link_message_invalid` for what is not of this outpost, or has not the form
 */
export async function actionHeld(
  tx: Tx,
  control: Control,
  outpost: Enrolment,
  current: StoredPolicy | undefined,
  event: LinkEvent,
): Promise<void> {
  const session = SessionId.safeParse(event.ids["session"]);
  const grantId = GrantId.safeParse(event.ids["grant"]);
  const held = ActionHeld.safeParse(event.data);
  if (!session.success || !grantId.success || !held.success)
    throw new CardeaError("link_message_invalid", "`action.held` does not have its form");
  demandWholeLog(control);
  const grant = await ownGrant(tx, control, outpost.id, grantId.data);
  const { document: origin } = await originOf(tx, control, grant);
  const told: Told = { ...held.data, event, outpost, grant, origin, session: session.data };
  const { asked } = told;

  const forged = whyForged(told);
  if (forged !== undefined) {
    await refuseForged(tx, control, told, forged);
    return;
  }
  const known = await maybeOneHeldLocked(tx, control.keys, { grant: grant.id, nonce: asked.nonce });
  if (known !== undefined) {
    const same = canonicalJson(known.signed.document.asked) === canonicalJson(asked);
    if (!same) await refuseForged(tx, control, told, "its nonce was used for something else");
    return;
  }
  await file(tx, control, told, current);
}

/** Why it cannot be what the session's own requester asks for within their grant; such an outpost is broken, or somebody else's. */
function whyForged({ asked, signature, outpost, grant, origin, session }: Told): string | undefined {
  const { permissions, limits, via } = grant.signed.document;
  if (!verifyDigest(signature, "outpost", fromBase64Url(outpost.identityKey), digestOf("asked", asked)))
    return "it does not bear the outpost's signature";
  if (!("role" in permissions) || via !== "gateway") return "its grant has no sessions";
  if (!("action" in asked.ask) || asked.ask.action.binding === undefined) return "it is no action that was looked at";
  const { nonce, ask } = asked;
  const { requester, resource, justification, ticket } = origin.asked;
  const expected: Asked = {
    nonce,
    requester,
    resource,
    ask,
    justification,
    ...(ticket !== undefined && { ticket }),
    window: { duration: heldWindow },
    ...(limits.sourceIps !== undefined && { limits: { sourceIps: limits.sourceIps } }),
    within: { grant: grant.id, session },
  };
  return canonicalJson(asked) === canonicalJson(expected)
    ? undefined
    : "it says something else than the grant of its session";
}

async function refuseForged(tx: Tx, control: Control, told: Told, why: string): Promise<void> {
  const { event, outpost, grant, session } = told;
  control.log.warn({ outpost: outpost.id, grant: grant.id, session }, `a held action was refused: ${why}`);
  await record(tx, control, {
    type: "security.refused",
    ids: { outpost: outpost.id, grant: grant.id, session },
    data: { what: "held action", why },
    eventId: event.id,
  });
  await refuse(tx, control, told, "it cannot be asked for: what the gateway says of it does not fit this session");
}

function refuse(tx: Tx, control: Control, { asked, outpost, session }: Told, words: string): Promise<void> {
  return settleHold(tx, control, { outpost: outpost.id, session, nonce: asked.nonce }, "refused", words);
}

async function file(tx: Tx, control: Control, told: Told, current: StoredPolicy | undefined): Promise<void> {
  const { asked, event, grant, origin, session: id, signature } = told;
  const session = openSession(control, grant, await maybeOneSession(tx, id));
  if (typeof session === "string") {
    await refuse(tx, control, told, session);
    return;
  }
  const ground = await groundOf(tx, control, origin, current);
  if (typeof ground === "string") {
    await refuse(tx, control, told, ground);
    return;
  }
  const request = signRequest(control, ground, asked, factsOf(told, session, ground), control.clock.now());
  const { document } = request;
  const state = stateOf(document);
  const full = state === "pending" ? await whyFull(tx, control, told) : undefined;
  if (full !== undefined) {
    await refuse(tx, control, told, full);
    return;
  }
  await record(tx, control, {
    type: "action.held",
    ids: { ...requestIds(document), grant: grant.id, session: id },
    data: {
      request: request.digest,
      asked: digestOf("asked", asked),
      code: shortCode(request.digest),
      ...("action" in asked.ask && { action: asked.ask.action.name, words: describeAction(asked.ask.action) }),
    },
    at: event.at,
    eventId: event.id,
  });
  await storeRequest(tx, control, ground, request, signature);
  if (state === "pending") await tellHold(tx, control, request);
  if (state === "denied") await settleRequest(tx, control, request, "refused", document.decision.reasons.join("; "));
}

/** The session, or why it cannot ask any more. */
function openSession(control: Control, grant: StoredGrant, session: StoredSession | undefined): StoredSession | string {
  if (grant.state !== "active" || timeMs(grant.signed.document.window.notAfter) <= control.clock.now())
    return "the key of this session is over; ask for another";
  if (session?.grant !== grant.id) return "the session is not known here; connect again";
  return session.state === "open" ? session : "the session is over";
}

async function groundOf(
  tx: Tx,
  control: Control,
  origin: Request,
  policy: StoredPolicy | undefined,
): Promise<Ground | string> {
  const { requester } = origin.asked;
  const roster = await rosterIn(tx, control);
  const entry = roster.entry(requester.id);
  if (entry?.kind !== requester.kind || entry.actsFor !== requester.onBehalfOf || !roster.isActive(requester.id))
    return "whose key this is may not ask any more";
  if (policy === undefined) return "no policy has been applied yet, so everything is refused";
  const resource = await resourceById(tx, origin.resource.id);
  if (resource?.outpost !== origin.resource.outpost || resource.name !== origin.asked.resource)
    return `\`${origin.asked.resource}\` cannot be asked for now`;
  return { roster, policy, resource, reviewsOwed: await reviewsOwed(tx, control, behind(entry)) };
}

/** The requester as they are now; the session as its outpost told of it. */
function factsOf({ asked, grant, recent }: Told, { opened }: StoredSession, ground: Ground): Facts {
  const { roster, resource } = ground;
  const entry = roster.entry(asked.requester.id);
  const fact =
    "action" in asked.ask ? sessionFact(grant.signed.document.judgement, asked.ask.action, resource.spec) : undefined;
  return {
    verified: {
      groups: entry?.groups ?? [],
      claims: entry?.claims ?? {},
      reviewsOwed: [...ground.reviewsOwed],
      ...(opened.sourceIp !== undefined && { sourceIp: opened.sourceIp }),
      preview: { recent: recent.map((text) => toPlainText(text, text.length)) },
      ...(fact !== undefined && { session: JsonValue.parse(fact) }),
    },
    asserted: {},
  };
}

async function whyFull(tx: Tx, control: Control, { asked, grant, session }: Told): Promise<string | undefined> {
  const waiting = await manyWaitingWithin(tx, control.keys, { grant: grant.id, session });
  if (waiting.length > 0) return "another action of this session waits already";
  return await whyTooMany(tx, asked);
}

/**
 * Nobody waits any more: the client went away or gave up, or it took too long. What still waits for approval is over; what was approved and has
 * not begun never will.
 * @throws CardeaError `link_message_invalid` for what is not of this outpost, or has not the form
 */
export async function actionWithdrawn(
  tx: Tx,
  control: Control,
  outpost: Enrolment,
  { ids, data, at, id: eventId }: LinkEvent,
): Promise<void> {
  const session = SessionId.safeParse(ids["session"]);
  const grantId = GrantId.safeParse(ids["grant"]);
  const said = ActionWithdrawn.safeParse(data);
  if (!session.success || !grantId.success || !said.success)
    throw new CardeaError("link_message_invalid", "`action.withdrawn` does not have its form");
  const grant = await ownGrant(tx, control, outpost.id, grantId.data);
  const { nonce, why } = said.data;
  const request = await maybeOneHeldLocked(tx, control.keys, { grant: grant.id, nonce });
  const known = request?.signed.document.asked.within?.session === session.data ? request : undefined;
  await record(tx, control, {
    type: "action.withdrawn",
    ids: {
      ...(known !== undefined && requestIds(known.signed.document)),
      outpost: outpost.id,
      grant: grant.id,
      session: session.data,
    },
    data: { why, ...(known !== undefined && { request: known.signed.digest }) },
    at,
    eventId,
  });
  if (known?.state === "pending") {
    if (why === "timed_out") await expireIn(tx, control, await rosterIn(tx, control), known, "timed_out");
    else await withdrawIn(tx, control, known, why === "session_closed" ? { why } : {});
  } else if (known?.state === "approved") {
    const made = await maybeOneGrant(tx, control.keys, { request: known.id });
    const locked = made && (await maybeOneGrantLocked(tx, control.keys, made.id));
    if (locked?.state === "issuing")
      await endGrantIn(tx, control, locked, { why: "released", detail: "nobody waited for it any more" });
  }
}

/** A session is over, and with it everything that it kept waiting. */
export async function withdrawWithin(
  tx: Tx,
  control: Control,
  within: { readonly grant: GrantId; readonly session: SessionId },
): Promise<void> {
  for (const request of await manyWaitingWithin(tx, control.keys, within))
    await withdrawIn(tx, control, request, { why: "session_closed" });
}
