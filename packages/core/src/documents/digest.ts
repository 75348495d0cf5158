import { z } from "zod";
import { toBase32 } from "../lib/base32.ts";
import { sha256 } from "../lib/crypto.ts";
import { fromHex, toHex } from "../lib/hex.ts";
import { canonicalJson } from "./canonical.ts";

/**
 * A document's name: `sha256:` and the hash of `cardea/<type>/v1`, a zero byte and the document's canonical bytes.
 * The type stands in front so that a document of one type can never pass for one of another.
 */
export const Digest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, "not a digest (`sha256:` and 64 lower-case hexadecimal digits)")
  .brand<"digest">();
export type Digest = z.infer<typeof Digest>;

/** Everything that is hashed under a name of its own. */
export type DocumentType =
  | "asked"
  | "request"
  | "decision"
  | "vote"
  | "grant"
  | "run"
  | "review"
  | "policy"
  | "spec"
  | "configuration"
  | "sealed"
  | "roster"
  | "trust"
  | "permissions"
  | "public-privileges"
  | "sign-in"
  | "link";

const encoder = new TextEncoder();

/** The 32 hash bytes of a document. @throws TypeError where the document has no canonical form. */
export function digestBytes(type: DocumentType, document: unknown): Uint8Array {
  return sha256(encoder.encode(`cardea/${type}/v1\0${canonicalJson(document)}`));
}

export function digestOf(type: DocumentType, document: unknown): Digest {
  // The text has the form that `Digest` accepts, by construction.
  return `sha256:${toHex(digestBytes(type, document))}` as Digest;
}

/** The code that people compare: the digest's first 60 bits, as `K7QD-9MXT-2F4H`. */
export function shortCode(digest: Digest): string {
  const text = toBase32(fromHex(digest.slice("sha256:".length)).subarray(0, 8))
    .slice(0, 12)
    .toUpperCase();
  return `${text.slice(0, 4)}-${text.slice(4, 8)}-${text.slice(8, 12)}`;
}
