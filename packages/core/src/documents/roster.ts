import { z } from "zod";
import { CredentialId, OutpostId, SubjectId, TokenId } from "../contract/ids.ts";
import { Base64Url, Name, SubjectKind, Time } from "./primitives.ts";

/** A credential by which a subject signs in or signs. Keys are raw public keys: 32 bytes for Ed25519. */
export const RosterCredential = z.strictObject({
  id: CredentialId,
  kind: z.enum(["device", "ssh", "passkey"]),
  publicKey: Base64Url.min(40).max(2_000),
  addedAt: Time,
});
export type RosterCredential = z.infer<typeof RosterCredential>;

/** One subject as policy and approvals see them. */
export const RosterEntry = z.strictObject({
  subject: SubjectId,
  name: Name,
  kind: SubjectKind,
  /** For whom an agent acts. */
  actsFor: SubjectId.optional(),
  groups: z.array(Name).max(1_000),
  claims: z.record(z.string().max(100), z.string().max(1_000)),
  credentials: z.array(RosterCredential).max(50),
  /** Cardea's own permissions. */
  permissions: z.array(z.enum(["member", "auditor", "admin"])),
  active: z.boolean(),
  /** API tokens that are good, unless they are over; absent for none. */
  tokens: z.array(TokenId).max(50).optional(),
});
export type RosterEntry = z.infer<typeof RosterEntry>;

/** An outpost that is enrolled now, under the name that it alone has. */
export const RosterOutpost = z.strictObject({
  name: Name,
  id: OutpostId,
  /** Its identity: the raw Ed25519 public key, by which what it signed can be checked later. Absent of one that enrolled long ago. */
  key: Base64Url.length(43).optional(),
});
export type RosterOutpost = z.infer<typeof RosterOutpost>;

/** The signed head over all entries: an RFC 6962 tree whose leaves are the entries' canonical bytes, ordered by subject id. */
export const RosterHead = z.strictObject({
  v: z.literal(1),
  version: z.int().min(1),
  at: Time,
  expiresAt: Time.optional(),
  size: z.int().min(0),
  /** RFC 6962 root hash, base64url. */
  root: Base64Url.length(43),
  /** Absent for none. */
  outposts: z.array(RosterOutpost).max(1_000).optional(),
});
export type RosterHead = z.infer<typeof RosterHead>;

/** An entry and its way up to the head. */
export const RosterProof = z.strictObject({
  entry: RosterEntry,
  index: z.int().min(0),
  /** Sibling hashes from the leaf upward, base64url. */
  path: z.array(Base64Url.length(43)).max(64),
});
export type RosterProof = z.infer<typeof RosterProof>;
