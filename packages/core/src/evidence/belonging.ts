import { digestOf, type Digest } from "../documents/digest.ts";
import type { Evidence } from "../documents/evidence.ts";
import { ok, refused, type Result } from "../lib/result.ts";

/** The documents' digests, always computed here and never taken from a message. */
export interface Digests {
  readonly request: Digest;
  /** Of what a session asks for; absent where its requester asked outside of one. */
  readonly asked: Digest | undefined;
  readonly votes: readonly Digest[];
  readonly grant: Digest;
  readonly run: Digest | undefined;
  readonly policy: Digest;
  readonly current: Digest | undefined;
  readonly spec: Digest;
  readonly rosterHead: Digest;
}

/** Whether each document is about the others: the same request, the same votes, this policy, this resource. */
export function checkBelonging(evidence: Evidence, digests: Digests): Result<undefined, "evidence_mismatch"> {
  const { request, votes, grant, spec } = evidence;
  if (grant.request !== digests.request) return mismatch("the grant is of another request");
  if (votes.some((vote) => vote.request !== digests.request)) return mismatch("a vote is on another request");
  if (!grant.votes.every((vote) => digests.votes.includes(vote)))
    return mismatch("the grant names a vote that is not there");
  if (new Set(digests.votes).size !== digests.votes.length) return mismatch("a vote stands there twice");
  if (request.decision.policy !== digests.policy) return mismatch("the request was decided by another policy");
  if (request.resource.specDigest !== digests.spec)
    return mismatch("the request was decided on another specification of the resource");
  if (
    spec.id !== request.resource.id ||
    spec.outpost !== request.resource.outpost ||
    spec.name !== request.asked.resource
  ) {
    return mismatch("the specification is of another resource");
  }
  const { publicPrivileges } = evidence;
  if (publicPrivileges !== undefined && digestOf("public-privileges", publicPrivileges) !== spec.publicPrivileges)
    return mismatch("what everybody may at the resource is not what its specification names");
  return ok(undefined);
}

function mismatch(detail: string) {
  return refused("evidence_mismatch", detail);
}
