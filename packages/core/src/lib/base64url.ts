import { fromBase64, toBase64 } from "./base64.ts";

/** The URL-safe alphabet of base 64 without padding (RFC 4648, section 5), as in every document. */
export function toBase64Url(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Strict: the one canonical text of some bytes, or `undefined`. */
export function parseBase64Url(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  return fromBase64(text.replaceAll("-", "+").replaceAll("_", "/") + "=".repeat((4 - (text.length % 4)) % 4));
}

/** For texts that a schema has accepted. @throws RangeError where the text is not strict base64url. */
export function fromBase64Url(text: string): Uint8Array {
  const bytes = parseBase64Url(text);
  if (bytes === undefined) throw new RangeError("not base64url");
  return bytes;
}
