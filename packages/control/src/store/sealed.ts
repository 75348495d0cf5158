/**
 * Keyed hashes and encryption for what stands in the database, under keys that do not: derived from the installation's key, one for each
 * purpose. Who holds the database alone can neither make such a value nor read one. Used for tokens, invitations, identities, webhook
 * secrets, kept answers and cursors; never for what is signed, which others must be able to check.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { hmacSha256, timingSafeEqual } from "@cardea/core/lib/crypto";
import type { Control } from "../control.ts";

/** What a derived key is for; no key serves two purposes. */
export type SealPurpose = "token" | "invitation" | "identity" | "challenge" | "cursor" | "idempotency" | "webhook";

type Keys = Pick<Control, "keys">;
const encoder = new TextEncoder();
const nonceBytes = 12;
const tagBytes = 16;

function derivedKey({ keys }: Keys, purpose: SealPurpose): Uint8Array {
  return hmacSha256(keys.installation, encoder.encode(`cardea/${purpose}/v1`));
}

/** HMAC-SHA-256 over the value's canonical JSON, base64url. */
export function keyedHash(control: Keys, purpose: SealPurpose, value: unknown): string {
  return toBase64Url(hmacSha256(derivedKey(control, purpose), encoder.encode(canonicalJson(value))));
}

/** Whether the hash is the value's, in constant time. */
export function matchesKeyedHash(control: Keys, purpose: SealPurpose, value: unknown, hash: string): boolean {
  return timingSafeEqual(encoder.encode(keyedHash(control, purpose, value)), encoder.encode(hash));
}

/** AES-256-GCM: nonce, ciphertext, tag. `context` is bound, so that a value cannot be moved to another row. */
export function seal(
  control: Keys & Pick<Control, "random">,
  purpose: SealPurpose,
  context: string,
  plaintext: string,
): Buffer {
  const nonce = control.random.bytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", derivedKey(control, purpose), nonce);
  cipher.setAAD(encoder.encode(context));
  return Buffer.concat([nonce, cipher.update(plaintext, "utf8"), cipher.final(), cipher.getAuthTag()]);
}

/** The text, or undefined where it was not sealed here for this purpose and context. */
export function unseal(control: Keys, purpose: SealPurpose, context: string, sealed: Uint8Array): string | undefined {
  if (sealed.length < nonceBytes + tagBytes) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", derivedKey(control, purpose), sealed.subarray(0, nonceBytes));
  decipher.setAAD(encoder.encode(context));
  decipher.setAuthTag(sealed.subarray(-tagBytes));
  try {
    const text = decipher.update(sealed.subarray(nonceBytes, -tagBytes));
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch {
    // A tag that does not match is the one reason for which `final` throws.
    return undefined;
  }
}
