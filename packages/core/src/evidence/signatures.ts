import type { Digest } from "../documents/digest.ts";
import type { Evidence } from "../documents/evidence.ts";
import { anyVerifies } from "../documents/signature.ts";
import type { Trust } from "../documents/trust.ts";
import { fromBase64Url } from "../lib/base64url.ts";
import { ok, refused, type Result } from "../lib/result.ts";
import type { Digests } from "./belonging.ts";

/**
 * At the vouched level the control plane's key signs every document. A resource's specification is bound by the request that names
 * its digest, so it needs no signature of its own here; the outpost compares it with the one that it made.
 */
export function checkSignatures(
  evidence: Evidence,
  digests: Digests,
  trust: Trust,
): Result<undefined, "evidence_signature"> {
  const controlKey = controlKeyOf(trust);
  const signed: readonly (readonly [string, Digest | undefined])[] = [
    ["the request", digests.request],
    ["the grant", digests.grant],
    ["the policy", digests.policy],
    ["the current policy", digests.current],
    ["the roster", digests.rosterHead],
    ...digests.votes.map(
      (digest, index) => [`the vote of ${evidence.votes[index]?.approver ?? "nobody"}`, digest] as const,
    ),
  ];
  for (const [what, digest] of signed) {
    if (digest === undefined) continue;
    if (!anyVerifies(evidence.signatures[digest], "control", controlKey, digest)) {
      return refused("evidence_signature", `${what} bears no valid signature of the control plane`);
    }
  }
  return ok(undefined);
}

/** Importing a key costs more than verifying with it, so a trust document's stays decoded. */
const controlKeys = new WeakMap<Trust, Uint8Array>();

function controlKeyOf(trust: Trust): Uint8Array {
  const known = controlKeys.get(trust);
  if (known !== undefined) return known;
  const key = fromBase64Url(trust.controlKey);
  controlKeys.set(trust, key);
  return key;
}
