/** Proving a presence: keys that sign in, and the two exchanges in which they do. */
import { challengeDigest, enrolmentDigest } from "@cardea/core/wire/api/sign-in";
import type { SignedIn } from "@cardea/core/wire/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { ed25519PublicKey, ed25519Sign } from "@cardea/core/lib/crypto";
import type { Digest } from "@cardea/core/documents/digest";
import type { CardeaClient } from "./client.ts";

/** Signs a digest and returns the signature as it travels: base64url of a device key's, armoured text of an SSH key's. */
export type SignDigest = (digest: Digest) => string | Promise<string>;

/** The public half of a device key, base64url, and how it signs. `seed`: 32 random bytes that never leave the device. */
export function deviceKey(seed: Uint8Array): { readonly publicKey: string; readonly sign: SignDigest } {
  return {
    publicKey: toBase64Url(ed25519PublicKey(seed)),
    sign: (digest) => toBase64Url(ed25519Sign(seed, new TextEncoder().encode(digest))),
  };
}

/** Spends an invitation, so that the key signs in as its subject from now on. @throws ApiError `invitation_invalid` */
export async function enrolKey(
  client: CardeaClient,
  invitation: string,
  credential: { readonly kind: "device" | "ssh"; readonly publicKey: string; readonly label?: string },
  sign: SignDigest,
) {
  return client.enrol({ invitation, credential, signature: await sign(enrolmentDigest(invitation, credential)) });
}

/**
 * Exchanges a signed challenge for a token of 12 hours. With `origin`, a challenge of any other control plane is not signed: one that we were
 * led to could pass it on and sign in as us. @throws ApiError `signature_invalid`, `subject_inactive`; CardeaError `challenge_invalid`
 */
export async function signInWith(
  client: CardeaClient,
  credential: string,
  sign: SignDigest,
  origin?: string,
): Promise<SignedIn> {
  const challenge = await client.challenge(credential);
  if (challenge.credential !== credential || (origin !== undefined && challenge.origin !== origin)) {
    throw new CardeaError(
      "challenge_invalid",
      `the control plane at ${client.transport.baseUrl} asks to sign in to \`${challenge.origin}\`, not to \`${origin ?? "it"}\`; is the address right?`,
    );
  }
  return client.signIn(challenge.nonce, await sign(challengeDigest(challenge)));
}
