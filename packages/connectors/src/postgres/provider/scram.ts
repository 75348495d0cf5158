/**
 * Secrets of logins and what PostgreSQL keeps of them. The verifier is made here, so that neither the server nor its log ever sees a
 * secret (SCRAM-SHA-256: RFC 5802, RFC 7677; the stored form is PostgreSQL's).
 */
import { createHmac, createHash, pbkdf2 } from "node:crypto";
import { promisify } from "node:util";
import { toBase64 } from "@cardea/core/lib/base64";
import { toBase64Url } from "@cardea/core/lib/base64url";
import type { Random } from "@cardea/core/lib/random";

/** RFC 7677's number, and the least that some clients (pgjdbc) accept. */
const scramIterations = 4_096;

const derive = promisify(pbkdf2);

export interface LoginSecret {
  /** 256 random bits in base64url: ASCII, so that SASLprep changes nothing. */
  readonly secret: string;
  /** What `PASSWORD` in `CREATE ROLE` takes instead of the secret. */
  readonly verifier: string;
}

/** A new secret with its verifier; about a millisecond on the thread pool. */
export async function newLoginSecret(random: Random): Promise<LoginSecret> {
  const secret = toBase64Url(random.bytes(32));
  return { secret, verifier: await scramVerifier(secret, random.bytes(16), scramIterations) };
}

/** The stored form of a password of ASCII characters. */
export async function scramVerifier(password: string, salt: Uint8Array, iterations: number): Promise<string> {
  const salted = await derive(password, salt, iterations, 32, "sha256");
  const storedKey = createHash("sha256").update(createHmac("sha256", salted).update("Client Key").digest()).digest();
  const serverKey = createHmac("sha256", salted).update("Server Key").digest();
  return `SCRAM-SHA-256$${iterations}:${toBase64(salt)}$${toBase64(storedKey)}:${toBase64(serverKey)}`;
}
