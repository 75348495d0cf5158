/**
 * What a host keeps of a key in order to have it proven: made when the key is made, and one that stands in for a key that does not exist.
 * (RFC 5802, section 3; towards clients 4,096 rounds, since some accept no fewer.)
 */
import type { Random } from "@cardea/core/lib/random";
import type { ScramVerifier } from "../../gateway.ts";
import { hmac, scramKeys } from "./scram.ts";

const iterations = 4_096;
const saltSize = 16;

/** The verifier of a new key; about two milliseconds on the thread pool. */
export async function newScramVerifier(secret: string, random: Random): Promise<ScramVerifier> {
  const salt = random.bytes(saltSize);
  const { storedKey, serverKey } = await scramKeys(secret, salt, iterations);
  return { salt, iterations, storedKey, serverKey };
}

/**
 * For a key id that nobody knows: the same at every attempt, so that asking twice does not tell it from a real one, and no secret fits.
 * `hostSecret`: 32 bytes that never leave the host.
 */
export function standInVerifier(hostSecret: Uint8Array, keyId: string): ScramVerifier {
  return {
    salt: hmac(hostSecret, `salt ${keyId}`).subarray(0, saltSize),
    iterations,
    storedKey: hmac(hostSecret, `stored key ${keyId}`),
    serverKey: hmac(hostSecret, `server key ${keyId}`),
  };
}
