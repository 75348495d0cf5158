/** What a secret is checked by, and what is shown to those who name a key that does not exist. */
import { createHash, createHmac, pbkdf2 } from "node:crypto";
import { promisify } from "node:util";
import type { Credential, ScramVerifier } from "@cardea/connectors/gateway";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { hmacSha256, timingSafeEqual } from "@cardea/core/lib/crypto";
import type { Random } from "@cardea/core/lib/random";
import type { StoredVerifier } from "../store/keys.ts";

/** RFC 7677's number, and the least that some clients (pgjdbc) accept. */
const iterations = 4_096;
const saltLength = 16;
const derive = promisify(pbkdf2);

/** The verifier of a secret of ASCII characters (RFC 5802, section 3); about a millisecond on the thread pool. */
export async function newVerifier(secret: string, random: Random): Promise<StoredVerifier> {
  return stored(await verifierOf(secret, random.bytes(saltLength)));
}

/** Whether what is shown proves the key's secret. Takes its proof whatever is found, so that an unknown key is not told from a wrong secret. */
export async function proves(
  credential: Credential,
  found: StoredVerifier | undefined,
  keyId: string,
  standIn: Uint8Array,
): Promise<boolean> {
  const verifier = found === undefined ? standInVerifier(standIn, keyId) : opened(found);
  const proven =
    credential.kind === "scram" ? await credential.prove(verifier) : await matches(credential.secret, verifier);
  return proven && found !== undefined;
}

/** Of nobody's secret: the same for the same name, as a key's would be. */
function standInVerifier(standIn: Uint8Array, keyId: string): ScramVerifier {
  const part = (what: string): Uint8Array => hmacSha256(standIn, new TextEncoder().encode(`${what}\0${keyId}`));
  return {
    salt: part("salt").subarray(0, saltLength),
    iterations,
    storedKey: part("stored key"),
    serverKey: part("server key"),
  };
}

async function matches(secret: string, verifier: ScramVerifier): Promise<boolean> {
  const { storedKey } = await verifierOf(secret, verifier.salt);
  return timingSafeEqual(storedKey, verifier.storedKey);
}

async function verifierOf(secret: string, salt: Uint8Array): Promise<ScramVerifier> {
  const salted = await derive(secret, salt, iterations, 32, "sha256");
  const clientKey = createHmac("sha256", salted).update("Client Key").digest();
  return {
    salt,
    iterations,
    storedKey: new Uint8Array(createHash("sha256").update(clientKey).digest()),
    serverKey: new Uint8Array(createHmac("sha256", salted).update("Server Key").digest()),
  };
}

function stored({ salt, storedKey, serverKey }: ScramVerifier): StoredVerifier {
  return {
    salt: toBase64Url(salt),
    iterations,
    storedKey: toBase64Url(storedKey),
    serverKey: toBase64Url(serverKey),
  };
}

function opened(verifier: StoredVerifier): ScramVerifier {
  return {
    salt: fromBase64Url(verifier.salt),
    iterations: verifier.iterations,
    storedKey: fromBase64Url(verifier.storedKey),
    serverKey: fromBase64Url(verifier.serverKey),
  };
}
