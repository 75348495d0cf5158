import { z } from "zod";
import { CredentialId, GrantId, OutpostId, RequestId, ResourceId, SessionId, SubjectId } from "../contract/ids.ts";
import { canonicalJson } from "./canonical.ts";
import { Decision } from "./decision.ts";
import { Digest } from "./digest.ts";
import { Base64Url, Cidr, Duration, JsonValue, Name, plainText, SubjectKind, Time, Via } from "./primitives.ts";

/** Characters of JSON: beyond it an action is no request that a person could read. */
const maxActionLength = 512 * 1024;

function actionPart(maxLength: number) {
  return z
    .record(z.string().max(64), JsonValue)
    .refine((part) => JSON.stringify(part).length <= maxLength, `longer than ${String(maxLength)} characters of JSON`);
}

/** What the requester asks for: for SQL database, statement and parameters. */
const ActionWhat = actionPart(maxActionLength);
/** What the connector found out about it: everything that it touches and what its names stand for. */
export const ActionBinding = actionPart(maxActionLength / 2);

/** One thing done at a resource, as data. What it binds to beyond these fields is the connector's and stands in `binding`. */
export const Action = z.strictObject({
  type: Name,
  name: z.string().max(100),
  what: ActionWhat,
  binding: ActionBinding.optional(),
});
export type Action = z.infer<typeof Action>;

/** A role for a window (access request), or one exact action (action request). */
export const Ask = z.union([z.strictObject({ role: Name }), z.strictObject({ action: Action })]);
export type Ask = z.infer<typeof Ask>;

const Requester = z.strictObject({
  id: SubjectId,
  kind: SubjectKind,
  /** For whom an agent acts: always a human or a workload. */
  onBehalfOf: SubjectId.optional(),
});
export type Requester = z.infer<typeof Requester>;

/** Limits as a requester may tighten them. */
export const AskedLimits = z.strictObject({
  sourceIps: z.array(Cidr).min(1).max(100).optional(),
  /** Sessions open at once. */
  sessions: z.int().min(1).max(10_000).optional(),
  /** Sessions opened in all, or calls forwarded. */
  uses: z.int().min(1).max(1_000_000).optional(),
});
export type AskedLimits = z.infer<typeof AskedLimits>;

/** What the requester says, and what they sign where a rule asks for it. */
export const Asked = z.strictObject({
  nonce: Base64Url.min(16).max(64),
  requester: Requester,
  resource: Name,
  ask: Ask,
  justification: plainText(2_000),
  ticket: plainText(200).optional(),
  window: z.strictObject({ start: Time.optional(), duration: Duration }),
  limits: AskedLimits.optional(),
  via: Via.optional(),
  /** The HPKE public key (P-256, uncompressed point) that the secret, or an action's answer, will be sealed to. */
  deliverTo: Base64Url.length(87).optional(),
  extends: GrantId.optional(),
  breakGlass: z.literal(true).optional(),
  /** A session that keeps the action waiting. Its outpost asks in the requester's name, and signs `asked`. */
  within: z.strictObject({ grant: GrantId, session: SessionId }).optional(),
});
export type Asked = z.infer<typeof Asked>;

/** What Cardea itself found out about the requester at `createdAt`. More facts may be added by integrations. */
const VerifiedFacts = z
  .object({
    groups: z.array(Name).max(1_000),
    claims: z.record(z.string().max(100), z.string().max(1_000)),
    /** Break-glass grants of this requester that still wait for their review. */
    reviewsOwed: z.array(GrantId).max(1_000),
    sourceIp: z.string().max(64).exactOptional(),
    /** The credential that signed in. */
    credential: CredentialId.exactOptional(),
  })
  .catchall(JsonValue);
export type VerifiedFacts = z.infer<typeof VerifiedFacts>;

export const Facts = z.strictObject({
  verified: VerifiedFacts,
  /** What the client says of itself: never mixed with what was verified. */
  asserted: z.record(z.string().max(100), JsonValue),
});
export type Facts = z.infer<typeof Facts>;

/** The immutable document that everything later is bound to. */
export const Request = z.strictObject({
  v: z.literal(1),
  id: RequestId,
  createdAt: Time,
  asked: Asked,
  resource: z.strictObject({ id: ResourceId, outpost: OutpostId, specDigest: Digest }),
  facts: Facts,
  decision: Decision,
});
export type Request = z.infer<typeof Request>;

/** Two are the same action if and only if these texts are equal. */
export function actionText({ type, name, what, binding }: Action): string {
  return canonicalJson({ type, name, what, binding });
}

/** The asked role's name, or `undefined` for an action request. */
export function askedRole(ask: Ask): string | undefined {
  return "role" in ask ? ask.role : undefined;
}
