import { z } from "zod";
import { toBase32 } from "../lib/base32.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";

/**
 * Every id is a prefix that says what it names and a UUIDv7 (RFC 9562) in 26 lower-case Crockford base-32
 * characters, so ids sort by the time of their making and are safe in URLs, file names and log lines.
 */
export const idPrefixes = {
  subject: "sub",
  group: "grp",
  resource: "res",
  outpost: "out",
  request: "req",
  vote: "vot",
  grant: "gra",
  key: "key",
  lease: "lea",
  session: "ses",
  run: "run",
  review: "rev",
  event: "evt",
  policy: "pol",
  credential: "crd",
  token: "tok",
  task: "tsk",
} as const;

export type IdKind = keyof typeof idPrefixes;

function idSchema<const Kind extends IdKind>(kind: Kind) {
  return z
    .string()
    .regex(new RegExp(`^${idPrefixes[kind]}_[0-9a-hjkmnp-tv-z]{26}$`), `not a ${kind} id (${idPrefixes[kind]}_…)`)
    .brand<Kind>();
}

export const SubjectId = idSchema("subject");
export type SubjectId = z.infer<typeof SubjectId>;
export const ResourceId = idSchema("resource");
export type ResourceId = z.infer<typeof ResourceId>;
export const OutpostId = idSchema("outpost");
export type OutpostId = z.infer<typeof OutpostId>;
export const RequestId = idSchema("request");
export type RequestId = z.infer<typeof RequestId>;
export const VoteId = idSchema("vote");
export type VoteId = z.infer<typeof VoteId>;
export const GrantId = idSchema("grant");
export type GrantId = z.infer<typeof GrantId>;
export const KeyId = idSchema("key");
export type KeyId = z.infer<typeof KeyId>;
export const LeaseId = idSchema("lease");
export type LeaseId = z.infer<typeof LeaseId>;
export const SessionId = idSchema("session");
export type SessionId = z.infer<typeof SessionId>;
export const RunId = idSchema("run");
export type RunId = z.infer<typeof RunId>;
export const ReviewId = idSchema("review");
export type ReviewId = z.infer<typeof ReviewId>;
export const EventId = idSchema("event");
export type EventId = z.infer<typeof EventId>;
export const PolicyId = idSchema("policy");
export type PolicyId = z.infer<typeof PolicyId>;
export const CredentialId = idSchema("credential");
export type CredentialId = z.infer<typeof CredentialId>;
export const TokenId = idSchema("token");
export type TokenId = z.infer<typeof TokenId>;
export const TaskId = idSchema("task");
export type TaskId = z.infer<typeof TaskId>;

/** One kind's id type, by its word. */
export type IdOf<Kind extends IdKind> = string & z.core.$brand<Kind>;

/** A new id; 74 of its bits are random, so two never meet. */
export function newId<const Kind extends IdKind>(kind: Kind, clock: Clock, random: Random): IdOf<Kind> {
  const bytes = new Uint8Array(16);
  bytes.set(random.bytes(10), 6);
  const ms = clock.now();
  new DataView(bytes.buffer).setUint32(0, Math.floor(ms / 0x1_0000));
  new DataView(bytes.buffer).setUint16(4, ms % 0x1_0000);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  // The text has the form that `idSchema(kind)` accepts, by construction.
  return `${idPrefixes[kind]}_${toBase32(bytes)}` as IdOf<Kind>;
}
