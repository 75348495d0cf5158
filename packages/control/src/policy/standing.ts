/**
 * Whether what was decided still stands: the same questions that the outpost asks of evidence, asked here before anything is approved,
 * begun or kept, so that people hear of it early. Pure. It never widens: a decision that would come out better now does not become it.
 */
import type { SubjectId } from "@cardea/core/contract/ids";
import { canonicalJson } from "@cardea/core/documents/canonical";
import type { Decision } from "@cardea/core/documents/decision";
import type { Policy } from "@cardea/core/documents/policy";
import { toTime } from "@cardea/core/documents/primitives";
import type { Facts, Request } from "@cardea/core/documents/request";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { ok, refused, type Result } from "@cardea/core/lib/result";
import { decide, whyDenied } from "@cardea/core/policy/decide";

export type StandingCode = "policy_changed" | "standing_lost";

export interface StandingInput {
  readonly request: Request;
  readonly spec: ResourceSpec;
  /** The policy that decided the request. */
  readonly policy: Policy;
  /** The policy in force now. */
  readonly current: Policy;
  readonly entries: (subject: SubjectId) => RosterEntry | undefined;
  readonly nowMs: number;
}

/**
 * The requester as they are today, under the request's policy or, where its rule says `onPolicyChange: end`, the current one; deny rules
 * of the current policy always.
 */
export function checkStanding({
  request,
  spec,
  policy,
  current,
  entries,
  nowMs,
}: StandingInput): Result<undefined, StandingCode> {
  const { asked, decision } = request;
  const facts = factsToday(request, entries);
  if (!facts.ok) return facts;
  const at = toTime(nowMs);
  const keeps = decision.onPolicyChange === "keep";
  const judging = keeps ? policy : current;
  const again = decide({ policy: judging, asked, spec, facts: facts.value, createdAt: at });
  // The same version gave another answer then, so it is the requester or the hour that changed.
  const code = judging.version === policy.version ? "standing_lost" : "policy_changed";
  if (again.effect === "deny")
    return refused(
      code,
      `policy version ${judging.version} refuses it now: ${again.reasons[0] ?? "no rule permits it"}`,
    );
  if (terms(again) !== terms(decision))
    return refused(code, `policy version ${judging.version} asks for something else now`);
  if (!keeps) return ok(undefined);
  const denied = whyDenied({ policy: current, asked, spec, facts: facts.value, createdAt: at });
  return denied === undefined
    ? ok(undefined)
    : refused("policy_changed", `rule \`${denied.rule}\` of policy version ${current.version} refuses it now`);
}

/** Whether a request that still waits would be decided otherwise by another policy, from the same facts at the same instant. */
export function wouldDiffer(request: Request, spec: ResourceSpec, current: Policy): boolean {
  const { asked, facts, createdAt, decision } = request;
  return terms(decide({ policy: current, asked, spec, facts, createdAt })) !== terms(decision);
}

/** What was verified of the requester, with the groups and claims of today. Everybody behind the request must be active. */
function factsToday({ asked, facts }: Request, entries: StandingInput["entries"]): Result<Facts, StandingCode> {
  const { id, kind, onBehalfOf } = asked.requester;
  const entry = entries(id);
  if (entry?.active !== true) return refused("standing_lost", "the requester is not active any more");
  if (entry.kind !== kind || entry.actsFor !== onBehalfOf)
    return refused("standing_lost", "the requester is not what the request says");
  if (onBehalfOf !== undefined && entries(onBehalfOf)?.active !== true)
    return refused("standing_lost", "the one for whom the requester acts is not active any more");
  // `Object.assign`, because a spread would forget that further facts may stand beside these.
  return ok({ ...facts, verified: Object.assign({}, facts.verified, { groups: entry.groups, claims: entry.claims }) });
}

function terms({ effect, stages, limits, via }: Decision): string {
  return canonicalJson({ effect, stages, limits, via });
}
