import { z } from "zod";
import { CredentialId, GrantId, OutpostId, RequestId, ResourceId, SessionId, SubjectId } from "../contract/ids.ts";
import { Decision } from "./decision.ts";
import { Digest } from "./digest.ts";
import { Base64Url, Cidr, Duration, JsonValue, Name, plainText, SubjectKind, Time, Via } from "./primitives.ts";

/** One thing done at a resource, as data. What it binds to beyond these fields is the connector's and stands in `binding`. */
export const Action = z.strictObject({
  type: Name,
  name: z.string().max(100),
  what: z.record(z.string().max(64), JsonValue),
  binding: z.record(z.string().max(64), JsonValue).optional(),
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
  /** The HPKE public key (P-256, uncompressed point) that the secret will be sealed to. */
  deliverTo: Base64Url.length(87).optional(),
  extends: GrantId.optional(),
  breakGlass: z.literal(true).optional(),
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

/** The asked role's name, or `undefined` for an action request. */
export function askedRole(ask: Ask): string | undefined {
  return "role" in ask ? ask.role : undefined;
}
