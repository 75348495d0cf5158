import { canonicalJson } from "../documents/canonical.ts";
import type { Decision } from "../documents/decision.ts";
import type { Evidence } from "../documents/evidence.ts";
import type { Policy } from "../documents/policy.ts";
import { toTime, type Time } from "../documents/primitives.ts";
import type { Facts, Request } from "../documents/request.ts";
import type { RosterEntry } from "../documents/roster.ts";
import { ok, refused, type Refused, type Result } from "../lib/result.ts";
import { decide, whyDenied } from "../policy/decide.ts";
import type { Digests } from "./belonging.ts";
import type { ProvenRoster } from "./roster.ts";

type Refusals = "evidence_decision" | "evidence_roster" | "evidence_stale";

/**
 * Decides again. First from the very inputs of the request, which must give the very same bytes; then as things stand: the requester's
 * groups and claims of today, at `nowMs`, under the request's policy or, where its rule says `onPolicyChange: end`, the current one. Deny
 * rules of the current policy always apply.
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
    return disagree("the policy, evaluated again on the same inputs, decides otherwise");
  if (decision.effect === "deny") return disagree("the policy refuses the request");

  const current = newest([policy, evidence.current, known]);
  if (known !== undefined && known.version < current.version) {
    return refused(
      "evidence_stale",
      `the evidence rests on policy version ${String(current.version)}, newer than version ${String(known.version)} known here; wait for the newer state`,
    );
  }
  const standing = standingOf(request, roster);
  if (!standing.ok) return standing;
  const at = toTime(nowMs);
  if (decision.onPolicyChange === "keep") {
    const kept = checkStill(
      decision,
      decide({ policy, policyDigest: digests.policy, asked, spec, facts: standing.value, createdAt: at }),
      policy,
    );
    return kept.ok ? checkDenied(current, request, evidence, standing.value, at) : kept;
  }
  return checkStill(decision, decide({ policy: current, asked, spec, facts: standing.value, createdAt: at }), current);
}

/** The requester's facts as the roster proves them today. Everybody behind the request must be active. */
function standingOf({ asked, facts }: Request, roster: ProvenRoster): Result<Facts, "evidence_roster"> {
  const { requester } = asked;
  const entry = roster.get(requester.id);
  if (entry === undefined) return refused("evidence_roster", "the roster does not prove the requester");
  if (entry.kind !== requester.kind || entry.actsFor !== requester.onBehalfOf) {
    return refused("evidence_roster", "the requester is not what the request says");
  }
  for (
    let behind: RosterEntry | undefined = entry;
    behind !== undefined;
    behind = behind.actsFor === undefined ? undefined : roster.get(behind.actsFor)
  ) {
    if (!behind.active) return refused("evidence_roster", `${behind.name} is not active any more`);
    if (behind.actsFor === behind.subject) break;
    if (behind.actsFor !== undefined && !roster.has(behind.actsFor))
      return refused("evidence_roster", `the roster does not prove for whom ${behind.name} acts`);
  }
  // `Object.assign`, because a spread would forget that further facts may stand beside these.
  return ok({ ...facts, verified: Object.assign({}, facts.verified, { groups: entry.groups, claims: entry.claims }) });
}

/** Whether policy, as things stand, still asks for what was asked then, and gives the same. */
function checkStill(then: Decision, now: Decision, policy: Policy): Result<undefined, "evidence_decision"> {
  if (now.effect === "deny")
    return disagree(
      `policy version ${String(policy.version)} refuses the request now: ${now.reasons[0] ?? "no rule permits it"}`,
    );
  const terms = ({ effect, stages, limits, via }: Decision) => canonicalJson({ effect, stages, limits, via });
  if (terms(then) !== terms(now))
    return disagree(`policy version ${String(policy.version)} asks for something else now`);
  return ok(undefined);
}

function checkDenied(
  policy: Policy,
  { asked }: Request,
  { spec }: Evidence,
  facts: Facts,
  createdAt: Time,
): Result<undefined, "evidence_decision"> {
  const denied = whyDenied({ policy, asked, spec, facts, createdAt });
  return denied === undefined
    ? ok(undefined)
    : disagree(`rule \`${denied.rule}\` of the current policy refuses the request`);
}

function newest(policies: readonly (Policy | undefined)[]): Policy {
  const [first, ...rest] = policies.filter((policy) => policy !== undefined);
  if (first === undefined) throw new TypeError("there is always the request's own policy");
  return rest.reduce((newer, policy) => (policy.version > newer.version ? policy : newer), first);
}

function disagree(detail: string): Refused<"evidence_decision"> {
  return refused("evidence_decision", detail);
}
