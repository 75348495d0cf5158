import { z } from "zod";
import { ed25519Sign, ed25519Verify } from "../lib/crypto.ts";
import { parseBase64Url, toBase64Url } from "../lib/base64url.ts";
import type { Digest } from "./digest.ts";
import { Base64Url } from "./primitives.ts";

/**
 * Signatures stand beside a document, never inside it, and are made over the ASCII text of its digest, which carries the
 * document's type. `control`, `outpost` and `root` are plain Ed25519; passkeys and SSH keys bring their own envelope.
 */
export const Signature = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.enum(["control", "outpost", "root", "device"]),
    credential: z.string().max(64),
    signature: Base64Url.length(86),
  }),
  z.strictObject({
    kind: z.literal("passkey"),
    credential: z.string().max(64),
    clientDataJson: Base64Url.max(4_000),
    authenticatorData: Base64Url.max(4_000),
    signature: Base64Url.max(1_000),
  }),
  z.strictObject({ kind: z.literal("ssh"), credential: z.string().max(64), sshsig: z.string().max(8_000) }),
]);
export type Signature = z.infer<typeof Signature>;

const encoder = new TextEncoder();

/** Signs a digest with a raw Ed25519 private key (32-byte seed). `credential` names the public key to people and indexes. */
export function signDigest(
  kind: "control" | "outpost" | "root" | "device",
  credential: string,
  seed: Uint8Array,
  digest: Digest,
): Signature {
  return { kind, credential, signature: toBase64Url(ed25519Sign(seed, encoder.encode(digest))) };
}

/** Whether `signature` is of this `kind` and verifies over the digest under the raw public key. */
export function verifyDigest(
  signature: Signature,
  kind: "control" | "outpost" | "root" | "device",
  publicKey: Uint8Array,
  digest: Digest,
): boolean {
  if (signature.kind !== kind) return false;
  const bytes = parseBase64Url(signature.signature);
  return bytes !== undefined && ed25519Verify(publicKey, encoder.encode(digest), bytes);
}

/** Whether any of the signatures beside a document is a valid one of this kind. */
export function anyVerifies(
  signatures: readonly Signature[] | undefined,
  kind: "control" | "outpost" | "root" | "device",
  publicKey: Uint8Array,
  digest: Digest,
): boolean {
  return (signatures ?? []).some((signature) => verifyDigest(signature, kind, publicKey, digest));
}
