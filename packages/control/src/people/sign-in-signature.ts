import { createHash } from "node:crypto";
import type { NewCredential } from "@cardea/core/wire/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import { parseSshPublicKey, sshNamespace, verifySshSignature } from "@cardea/core/contract/sshsig";
import type { Digest } from "@cardea/core/documents/digest";
import type { RosterCredential } from "@cardea/core/documents/roster";
import { fromBase64Url, parseBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { ed25519Verify } from "@cardea/core/lib/crypto";
import { never } from "@cardea/core/lib/never";

type Key = Pick<RosterCredential, "kind" | "publicKey">;
const encoder = new TextEncoder();

/** The curve's base point: verified against where there is no credential, so that it takes as long. The outcome is never believed. */
export const unknownCredential: Key = {
  kind: "device",
  publicKey: toBase64Url(Uint8Array.of(0x58, ...new Uint8Array(31).fill(0x66))),
};

/** The raw public key of a new credential, base64url. @throws CardeaError `invalid_request` where it is no Ed25519 key */
export function publicKeyOf(credential: NewCredential): string {
  if (credential.kind === "device") {
    if (parseBase64Url(credential.publicKey)?.length === 32) return credential.publicKey;
    throw invalidKey("not 32 bytes in base64url");
  }
  const parsed = parseSshPublicKey(credential.publicKey);
  if (!parsed.ok) throw invalidKey(parsed.detail);
  return toBase64Url(parsed.value);
}

/** Whether a signature as it travels (base64url of a device key's, armoured of an SSH key's) is the key's over the digest's ASCII text. */
export function verifySignIn(key: Key, digest: Digest, signature: string): boolean {
  const publicKey = fromBase64Url(key.publicKey);
  const message = encoder.encode(digest);
  switch (key.kind) {
    case "device": {
      const bytes = parseBase64Url(signature);
      return bytes !== undefined && ed25519Verify(publicKey, message, bytes);
    }
    case "ssh":
      return verifySshSignature(signature, { publicKey, namespace: sshNamespace("sign-in"), message }, sha512).ok;
    case "passkey":
      // Passkeys do not sign in yet, so nothing they sign does.
      return false;
    default:
      return never(key.kind);
  }
}

function sha512(bytes: Uint8Array): Uint8Array {
  return createHash("sha512").update(bytes).digest();
}

function invalidKey(why: string): CardeaError {
  return new CardeaError("invalid_request", `the public key cannot be used: ${why}`, {
    pointers: [{ path: "credential.publicKey", message: why }],
  });
}
