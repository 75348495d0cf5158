/**
 * Checks evidence offline, as an auditor: the core's one check, under the trust document that the caller believes. It asks nobody and needs no
 * clock, because looking back the question is what held when the grant began.
 */
import { CardeaError } from "@cardea/core/contract/errors";
import { digestOf } from "@cardea/core/documents/digest";
import { Trust } from "@cardea/core/documents/trust";
import { verifyEvidence, type EvidenceRefusal, type Verified } from "@cardea/core/evidence/verify";

/** Checks evidence as it was read, whatever it is. */
export function auditEvidence(evidence: unknown, trust: Trust): Verified | EvidenceRefusal {
  return verifyEvidence(evidence, trust, 0, { purpose: "audit" });
}

/** A trust document as it was read. @throws CardeaError `evidence_trust` where it is none */
export function parseTrust(document: unknown): Trust {
  const parsed = Trust.safeParse(document);
  if (parsed.success) return parsed.data;
  throw new CardeaError(
    "evidence_trust",
    `this is not a trust document: \`${parsed.error.issues[0]?.path.join(".") ?? ""}\`: ${parsed.error.issues[0]?.message ?? "unreadable"}`,
  );
}

/** What people compare when they pin one. */
export function trustDigest(trust: Trust): string {
  return digestOf("trust", trust);
}
