import { leafBytes, opensCommitment } from "../documents/audit-leaf.ts";
import { canonicalJson } from "../documents/canonical.ts";
import type { Evidence, LogProof } from "../documents/evidence.ts";
import type { Trust } from "../documents/trust.ts";
import { parseBase64Url } from "../lib/base64url.ts";
import { ok, refused, type Result } from "../lib/result.ts";
import { openCheckpoint, type LogIdentity } from "../log/checkpoint.ts";
import { leafHash, type TreeHead } from "../log/merkle.ts";
import { parseVerifierKey } from "../log/note.ts";
import { verifyInclusion } from "../log/proofs.ts";
import type { Digests } from "./belonging.ts";

/**
 * Whether a signed checkpoint of the pinned log covers the approval: a `grant.created` leaf that commits to exactly these
 * request, votes and grant, and to the roster by which it was approved. Looking back, that roster is the one that counts; who makes a key asks a
 * newer one. Further proofs are checked too; one that does not hold spoils the evidence.
 */
export function checkLog(
  evidence: Evidence,
  digests: Digests,
  trust: Trust,
  purpose: "issue" | "audit",
): Result<undefined, "evidence_log"> {
  const log = logIdentityOf(trust);
  if (log === undefined) return refused("evidence_log", "the pinned log key is malformed");
  const checkpoint = openCheckpoint(evidence.log.checkpoint, log);
  if (!checkpoint.ok) return refused("evidence_log", checkpoint.detail);
  for (const proof of evidence.log.proofs) {
    const result = checkProof(proof, checkpoint.value);
    if (!result.ok) return result;
  }
  const { request, grant, rosterHead } = digests;
  const covered = evidence.log.proofs.some(({ leaf, data }) => {
    const roster = purpose === "audit" ? rosterHead : (data["roster"] ?? null);
    const expected = canonicalJson({ request, grant, votes: evidence.grant.votes, roster });
    return leaf.type === "grant.created" && leaf.ids["grant"] === evidence.grant.id && canonicalJson(data) === expected;
  });
  return covered
    ? ok(undefined)
    : refused("evidence_log", "no leaf of the log commits to this grant and the roster of its approval");
}

function checkProof({ leaf, data, salt, index, path }: LogProof, head: TreeHead): Result<undefined, "evidence_log"> {
  if (parseBase64Url(salt) === undefined || !opensCommitment(leaf, salt, data)) {
    return refused("evidence_log", `the data beside leaf ${String(index)} is not what the leaf commits to`);
  }
  const claim = { ...head, index, leafHash: leafHash(leafBytes(leaf)) };
  // A hash that is not strict base64url is left out, and then the proof is too short.
  const siblings = path.map(parseBase64Url).filter((sibling) => sibling !== undefined);
  const included = verifyInclusion(claim, siblings);
  return included.ok ? included : refused("evidence_log", included.detail);
}

const identities = new WeakMap<Trust, LogIdentity>();

function logIdentityOf(trust: Trust): LogIdentity | undefined {
  const known = identities.get(trust);
  if (known !== undefined) return known;
  const key = parseVerifierKey(trust.logKey);
  if (!key.ok) return undefined;
  const identity = { origin: trust.origin, key: key.value };
  identities.set(trust, identity);
  return identity;
}
