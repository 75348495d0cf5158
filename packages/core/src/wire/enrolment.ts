/**
 * How an outpost and the control plane come to know each other's keys, and prove them on every link afterwards. Both sides build the
 * same statements here and sign their digests; a statement names its maker and both nonces, so that none serves twice or elsewhere.
 */
import { z } from "zod";
import { canonicalJson } from "../documents/canonical.ts";
import { digestOf, type Digest } from "../documents/digest.ts";
import { Base64Url, Name, Time } from "../documents/primitives.ts";
import { parseBase64Url, toBase64Url } from "../lib/base64url.ts";
import { hmacSha256, sha256 } from "../lib/crypto.ts";
import { refused, ok, type Result } from "../lib/result.ts";
import type { SealedKey } from "./delivery.ts";
import { OutpostId, TokenId } from "../contract/ids.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** What an administrator carries to the machine of a new outpost. Single use. */
export const EnrolmentTokenBody = z.strictObject({
  v: z.literal(1),
  /** Of the control plane's link, `ws://` or `wss://`. */
  url: z.url().max(500),
  /** SHA-256 of the control plane's public key. */
  controlKeyHash: Base64Url.length(43),
  id: TokenId,
  name: Name,
  expiresAt: Time,
  /** 32 bytes. */
  secret: Base64Url.length(43),
});
export type EnrolmentTokenBody = z.infer<typeof EnrolmentTokenBody>;

const prefix = "cardea-enrol-";

export function formatEnrolmentToken(body: EnrolmentTokenBody): string {
  return prefix + toBase64Url(encoder.encode(canonicalJson(body)));
}

export function parseEnrolmentToken(text: string): Result<EnrolmentTokenBody, "enrolment_invalid"> {
  const malformed = refused(
    "enrolment_invalid",
    "this is not an enrolment token; copy it whole, from `cardea-enrol-` to its end",
  );
  if (!text.startsWith(prefix) || text.length > 2_000) return malformed;
  const bytes = parseBase64Url(text.slice(prefix.length));
  if (bytes === undefined) return malformed;
  try {
    const body = EnrolmentTokenBody.safeParse(JSON.parse(decoder.decode(bytes)));
    return body.success ? ok(body.data) : malformed;
  } catch {
    return malformed;
  }
}

export function controlKeyHash(publicKey: Uint8Array): string {
  return toBase64Url(sha256(publicKey));
}

/** What both sides have said before anything is signed. */
export interface LinkNonces {
  readonly controlKey: string;
  readonly controlNonce: string;
  readonly outpostNonce: string;
}

/** What an enrolled outpost signs. */
export function proveStatement(nonces: LinkNonces, outpost: OutpostId): Digest {
  return digestOf("link", { purpose: "prove", ...nonces, outpost });
}

/** What a new outpost signs, and what the token's secret is shown for. */
export function enrolStatement(
  nonces: LinkNonces,
  claims: { readonly token: TokenId; readonly name: string; readonly identityKey: string; readonly sealKey: string },
): Digest {
  return digestOf("link", { purpose: "enrol", ...nonces, ...claims });
}

/** Shows that the maker of the statement holds the token's secret. */
export function tokenProof(secret: Uint8Array, statement: Digest): string {
  return toBase64Url(hmacSha256(secret, encoder.encode(statement)));
}

/** What the control plane signs: whom it welcomes, under which trust, with which seed. */
export function welcomeStatement(
  nonces: LinkNonces,
  outpost: OutpostId,
  trust: Digest,
  markSeed: SealedKey | undefined,
): Digest {
  return digestOf("link", { purpose: "welcome", ...nonces, outpost, trust, markSeed });
}

/** The enrolment as the control plane keeps it, signed by its key: a database's administrator must not be able to swap an outpost's keys. */
export const Enrolment = z.strictObject({
  v: z.literal(1),
  id: OutpostId,
  name: Name,
  identityKey: Base64Url.length(43),
  sealKey: Base64Url.length(87),
  enrolledAt: Time,
});
export type Enrolment = z.infer<typeof Enrolment>;
