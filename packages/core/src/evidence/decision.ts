import { decisionStands } from "../approval/still-stands.ts";
import { canonicalJson } from "../documents/canonical.ts";
import type { Evidence } from "../documents/evidence.ts";
import type { Policy } from "../documents/policy.ts";
import { ok, refused, type Result } from "../lib/result.ts";
import { decide } from "../policy/decide.ts";
import type { Digests } from "./belonging.ts";
import type { ProvenRoster } from "./roster.ts";

type Refusals = "evidence_decision" | "evidence_roster" | "evidence_stale";

/**
 * Decides again. First from the very inputs of the request, which must give the very same bytes; then as things stand at `nowMs`, by the
 * roster that the evidence proves and the newest policy in it or `known` here.
 */
export function checkDecision(
  evidence: Evidence,
  digests: Digests,
  roster: ProvenRoster,
  nowMs: number,
  known: Policy | undefined,
): Result<undefined, Refusals> {
  const { request, policy, spec } = evidence;
  const { asked, facts, createdAt, decision } = request;
  const again = decide({ policy, policyDigest: digests.policy, asked, spec, facts, createdAt });
  if (canonicalJson(again) !== canonicalJson(decision))
    return refused("evidence_decision", "the policy, evaluated again on the same inputs, decides otherwise");
  if (decision.effect === "deny") return refused("evidence_decision", "the policy refuses the request");

  const current = newest([policy, evidence.current, known]);
  if (known !== undefined && known.version < current.version) {
    return refused(
      "evidence_stale",
      `the evidence rests on policy version ${String(current.version)}, newer than version ${String(known.version)} known here; wait for the newer state`,
    );
  }
  const stands = decisionStands({ request, spec, policy, current, entries: (subject) => roster.get(subject), nowMs });
  if (stands.ok) return ok(undefined);
  return refused(stands.code === "requester_lost" ? "evidence_roster" : "evidence_decision", stands.detail);
}

function newest(policies: readonly (Policy | undefined)[]): Policy {
  const [first, ...rest] = policies.filter((policy) => policy !== undefined);
  if (first === undefined) throw new TypeError("there is always the request's own policy");
  return rest.reduce((newer, policy) => (policy.version > newer.version ? policy : newer), first);
}
