import { base32ToInt, intToBase32, toBase32 } from "../lib/base32.ts";
import { timingSafeEqual, hmacSha256 } from "../lib/crypto.ts";
import type { Random } from "../lib/random.ts";

/**
 * The names that native logins and bundles bear at a resource. A name carries our mark and its deadline in itself, so that whatever
 * a crash leaves behind can be told from everything else without any store: `cardea_`, 10 random characters, the deadline in
 * seconds as 7, and 8 of a MAC under the resource's mark key, all lower-case base 32; 32 characters. The random part stands first
 * so that names differ early where a resource truncates.
 */
export const nativeNameLength = 32;
const prefix = "cardea_";
const encoder = new TextEncoder();

export interface NativeName {
  readonly name: string;
  /** Milliseconds since the epoch, whole seconds; 0 for bundles and holder roles, which have no deadline. */
  readonly deadlineMs: number;
}

/** The name of a new login. The deadline is rounded up to a whole second. */
export function newNativeName(markKey: Uint8Array, deadlineMs: number, random: Random): NativeName {
  return seal(markKey, toBase32(random.bytes(7)).slice(0, 10), Math.ceil(deadlineMs / 1_000));
}

/** The name of a role that holds a set of permissions: the same purpose and permissions always give the same name. */
export function bundleName(markKey: Uint8Array, purpose: string, permissions: string): NativeName {
  const hash = hmacSha256(markKey, encoder.encode(`cardea/bundle/v1\0${purpose}\0${permissions}`));
  return seal(markKey, toBase32(hash).slice(0, 10), 0);
}

/**
 * What a name found at a resource is: `ours` with its deadline, `forged` when it has the form but not the mark (reported, never
 * touched), or `foreign`.
 */
export function readNativeName(
  markKey: Uint8Array,
  name: string,
): ({ kind: "ours" } & NativeName) | { kind: "forged" | "foreign" } {
  if (!name.startsWith(prefix)) return { kind: "foreign" };
  const body = name.slice(prefix.length);
  if (!/^[0-9a-hjkmnp-tv-z]{25}$/.test(body)) return { kind: "foreign" };
  const seconds = base32ToInt(body.slice(10, 17));
  if (seconds === undefined) return { kind: "foreign" };
  const expected = seal(markKey, body.slice(0, 10), seconds);
  const same = timingSafeEqual(encoder.encode(expected.name), encoder.encode(name));
  return same ? { kind: "ours", ...expected } : { kind: "forged" };
}

function seal(markKey: Uint8Array, unique: string, seconds: number): NativeName {
  const body = unique + intToBase32(seconds, 7);
  const mac = toBase32(hmacSha256(markKey, encoder.encode(`cardea/name/v1\0${body}`))).slice(0, 8);
  return { name: prefix + body + mac, deadlineMs: seconds * 1_000 };
}
