import { z } from "zod";
import { sha256 } from "../lib/crypto.ts";
import { parseBase64Url, toBase64Url } from "../lib/base64url.ts";
import { AuditType } from "../contract/audit-types.ts";
import { canonicalJson } from "./canonical.ts";
import { Base64Url, Time } from "./primitives.ts";

/**
 * What the public log holds of an event: ids and a salted commitment, never personal data. The data and its salt live beside the
 * log and can be erased; every proof stays valid.
 */
export const AuditLeaf = z.strictObject({
  v: z.literal(1),
  at: Time,
  type: AuditType,
  ids: z.record(z.string().max(32), z.string().max(80)),
  /** SHA-256 of salt and canonical data, base64url. */
  commitment: Base64Url.length(43),
});
export type AuditLeaf = z.infer<typeof AuditLeaf>;

const encoder = new TextEncoder();

/** The commitment to data under a 32-byte random salt. */
export function commitTo(salt: Uint8Array, data: unknown): string {
  const bytes = encoder.encode(canonicalJson(data));
  const salted = new Uint8Array(salt.length + bytes.length);
  salted.set(salt);
  salted.set(bytes, salt.length);
  return toBase64Url(sha256(salted));
}

/** Whether opened data is what the leaf committed to. */
export function opensCommitment(leaf: AuditLeaf, salt: string, data: unknown): boolean {
  const bytes = parseBase64Url(salt);
  return bytes !== undefined && commitTo(bytes, data) === leaf.commitment;
}

/** The leaf's bytes as the log hashes them. */
export function leafBytes(leaf: AuditLeaf): Uint8Array {
  return encoder.encode(canonicalJson(leaf));
}
