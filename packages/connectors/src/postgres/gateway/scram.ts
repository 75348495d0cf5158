/** What both sides of SCRAM-SHA-256 compute (RFC 5802, RFC 7677), and the attributes that their messages are made of. */
import { createHash, createHmac, pbkdf2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

export const plainMechanism = "SCRAM-SHA-256";
/** With channel binding: whoever stands between two TLS connections cannot pass the proof on. */
export const boundMechanism = "SCRAM-SHA-256-PLUS";

/** The channel binding that PostgreSQL knows (RFC 5929, section 4). */
export const bindingName = "tls-server-end-point";

export interface ScramKeys {
  readonly clientKey: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

const derive = promisify(pbkdf2);

/** The keys behind a password of ASCII characters. */
export async function scramKeys(password: string, salt: Uint8Array, iterations: number): Promise<ScramKeys> {
  const salted = await derive(password, salt, iterations, 32, "sha256");
  const clientKey = hmac(salted, "Client Key");
  return { clientKey, storedKey: sha256(clientKey), serverKey: hmac(salted, "Server Key") };
}

export function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

export function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** Whether two values of 32 bytes are equal, without telling by the time it takes. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Each byte of one with the other's. */
export function xor(a: Uint8Array, b: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(a.length);
  for (let i = 0; i < a.length; i++) out[i] = (a[i] ?? 0) ^ (b[i] ?? 0);
  return out;
}

/**
 * The values of `names`, which must come first and in this order in `a=…,b=…`; further attributes may follow (extensions).
 * `undefined` where they do not.
 */
export function attributes(text: string, names: readonly string[]): readonly string[] | undefined {
  const parts = text.split(",");
  const values: string[] = [];
  for (const [index, name] of names.entries()) {
    const part = parts[index];
    if (part?.startsWith(`${name}=`) !== true) return undefined;
    values.push(part.slice(2));
  }
  return values;
}

/** Decodes base 64, strictly: what encodes to another text is refused. */
export function base64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}
