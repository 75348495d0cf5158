import { digestOf, type Digest } from "../../documents/digest.ts";
import { toBase64Url } from "../../lib/base64url.ts";
import { sha256 } from "../../lib/crypto.ts";
import type { Challenge, NewCredential } from "./people.ts";

/**
 * What a credential signs to prove a presence. Both sides compute it here. Both are digests of type `sign-in`; a device key signs
 * the digest's ASCII text (base64url of the 64 bytes travels), an SSH key the same text under the namespace `cardea-sign-in@v1`.
 */
export function challengeDigest(challenge: Challenge): Digest {
  return digestOf("sign-in", challenge);
}

/** Binds a new key to the invitation that it spends, so that neither can be exchanged on the way. */
export function enrolmentDigest(invitation: string, credential: Pick<NewCredential, "publicKey">): Digest {
  const invitationHash = toBase64Url(sha256(new TextEncoder().encode(invitation)));
  return digestOf("sign-in", { purpose: "enrol", invitationHash, publicKey: credential.publicKey });
}
