import type { z } from "zod";
import type { SubmitRequestParsed } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId, type GrantId, type SubjectId } from "@cardea/core/contract/ids";
import type { Decision } from "@cardea/core/documents/decision";
import { toTime, type JsonValue } from "@cardea/core/documents/primitives";
import type { Ask, Asked, Facts, Request } from "@cardea/core/documents/request";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { decide } from "@cardea/core/policy/decide";
import type { Actor, Control, Tx } from "../control.ts";
import { manyRememberedDebts } from "../grants/debts.ts";
import { currentRoster, type RosterView } from "../people/roster.ts";
import { demandPolicy } from "../policy/current.ts";
import { manyReviewsOwed } from "../store/reviews.ts";
import type { StoredPolicy } from "../store/policies.ts";
import { lockRequester } from "../store/requests.ts";
import { resourceByName, type ResourceRow } from "../store/resources.ts";
import { signDocument, type Signed } from "../store/signed.ts";

/** What a request is decided on, as read before its transaction; everything is looked at again at each later step. */
export interface Ground {
  readonly roster: RosterView;
  readonly policy: StoredPolicy;
  readonly resource: ResourceRow;
  /** Break-glass grants of the requester, or of whom they act for, that nobody has looked back at. */
  readonly reviewsOwed: readonly GrantId[];
}

/** @throws CardeaError `subject_inactive`, `resource_unknown`; `policy_denied` where no policy is in force */
export async function readGround(control: Control, actor: Actor, name: string): Promise<Ground> {
  const [roster, policy, resource, owed] = await Promise.all([
    currentRoster(control),
    demandPolicy(control),
    resourceByName(control.db, name),
    reviewsOwed(control.db, control, behind(actor.entry)),
  ]);
  if (!roster.isActive(actor.subject))
    throw new CardeaError("subject_inactive", "the subject, or the one it acts for, is not active");
  if (resource === undefined)
    throw new CardeaError("resource_unknown", `there is no resource \`${name}\`; \`cardea resources\` lists them`);
  return { roster, policy, resource, reviewsOwed: owed };
}

/** The debts as of now, and nobody files for these subjects until the transaction ends. */
export async function reviewsOwedLocked(
  tx: Tx,
  control: Control,
  roster: RosterView,
  actor: Actor,
): Promise<readonly GrantId[]> {
  const subjects = behind(roster.entry(actor.subject) ?? actor.entry);
  // The one an agent acts for first, and in one order whoever asks: agent and owner never wait for each other.
  for (const subject of subjects) await lockRequester(tx, subject);
  return await reviewsOwed(tx, control, subjects);
}

/** Break-glass grants of these subjects that wait for a review. */
export async function reviewsOwed(
  db: Tx | Control["db"],
  control: Control,
  subjects: readonly SubjectId[],
): Promise<readonly GrantId[]> {
  return await manyReviewsOwed(db, control.keys, subjects, await manyRememberedDebts(control, subjects));
}

/** Whose debts count: an agent's are also those of whom it acts for, or one would borrow the other's clean hands. */
export function behind(entry: RosterEntry): SubjectId[] {
  return entry.actsFor === undefined ? [entry.subject] : [entry.actsFor, entry.subject];
}

/** What is asked for, as the outpost found it. */
export interface Found {
  readonly ask: Ask;
  /** Changes by itself and so is no part of the action: shown to approvers, and a fact that rules may look at. */
  readonly estimate?: { readonly rows: number };
}

/** The signed request: what is asked, what was verified of who asks, and what policy says to it. */
export function decideAsked(
  control: Control,
  actor: Actor,
  ground: Ground,
  input: SubmitRequestParsed,
  found: Found,
  nowMs: number,
): Signed<Request> {
  const asked = askedOf(control, ground.roster, actor, input, found.ask);
  const facts = factsOf(ground, actor, input.asserted);
  if (found.estimate === undefined) return signRequest(control, ground, asked, facts, nowMs);
  const estimated = withPreview(facts, { estimate: found.estimate });
  // What there is behind the names is nothing for somebody who may not ask: the refusal is kept without it, unless it is what refuses.
  const isFree = ({ effect }: Decision): boolean => effect !== "deny";
  const shown = isFree(decideOn(ground, asked, estimated, nowMs)) || isFree(decideOn(ground, asked, facts, nowMs));
  return signRequest(control, ground, asked, shown ? estimated : facts, nowMs);
}

/** `Object.assign`, because a spread would forget that further facts may stand beside these. */
export function withPreview(facts: Facts, preview: JsonObject): Facts {
  return { ...facts, verified: Object.assign({}, facts.verified, { preview }) };
}

type JsonObject = Readonly<Record<string, z.infer<typeof JsonValue>>>;

/** What policy says to it as things stand at that instant. */
export function decideOn({ policy, resource }: Ground, asked: Asked, facts: Facts, nowMs: number): Decision {
  return decide({
    policy: policy.signed.document,
    policyDigest: policy.signed.digest,
    asked,
    spec: resource.spec,
    facts,
    createdAt: toTime(nowMs),
  });
}

/** Decides and signs, as a request of its own. */
export function signRequest(
  control: Control,
  ground: Ground,
  asked: Asked,
  facts: Facts,
  nowMs: number,
): Signed<Request> {
  const { resource } = ground;
  const createdAt = toTime(nowMs);
  const decision = decideOn(ground, asked, facts, nowMs);
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

function askedOf(control: Control, roster: RosterView, actor: Actor, input: SubmitRequestParsed, ask: Ask): Asked {
  const entry = roster.entry(actor.subject) ?? actor.entry;
  const { resource, justification, ticket, window, limits, via, deliverTo, breakGlass } = input;
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

/** What is verified of who calls. */
export function factsOf(
  { roster, reviewsOwed }: Ground,
  actor: Actor,
  asserted?: SubmitRequestParsed["asserted"],
): Facts {
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
