/**
 * The judgement compiled into a grant: policy's answer for every single action, so that a gateway needs no round trip. Looked at in the
 * order denied, hold, covered, askable; what nothing matches is denied. Only ever narrower than policy where the two cannot be made equal.
 */
import type { Judgement, Permissions } from "../documents/grant.ts";
import type { Pattern } from "../documents/pattern.ts";
import type { Policy } from "../documents/policy.ts";
import type { Request } from "../documents/request.ts";
import type { ResourceSpec } from "../documents/resource-spec.ts";
import { compilePolicy, widePatterns, type CompiledPolicy } from "./compile.ts";
import { isBreakGlass, rulesAbout, viewOf, type View } from "./decide.ts";
import { covers, coversAll, overlaps, withoutCovered } from "./patterns.ts";

export interface JudgementInput {
  readonly request: Request;
  readonly spec: ResourceSpec;
  /** The policy that decided the request. */
  readonly policy: Policy;
  /** The policy in force now, where it is another: its deny rules apply as well. */
  readonly current?: Policy;
  readonly permissions: Permissions;
}

/** As many as the document's schema holds of each list. */
const maxPatterns = 1_000;
const nothing: Judgement = { denied: [], hold: [], covered: [], askable: [] };

/** Compiles the judgement of one grant. An action grant covers nothing: its one action runs by itself, not through a session. */
export function compileJudgement({ request, spec, policy, current, permissions }: JudgementInput): Judgement {
  if ("action" in permissions) return nothing;
  const view = viewOf(request.asked, spec, request.facts, request.createdAt);
  const facets = spec.capabilities.facets;
  const compiled = compilePolicy(policy);
  const policies = current === undefined || current === policy ? [compiled] : [compiled, compilePolicy(current)];

  const denied = deniedActions(policies, view);
  const deciding = compiled.granting.find(({ rule }) => rule.name === request.decision.rule);
  const hold = withoutCovered(widePatterns(deciding?.rule.hold, facets));
  // Too much to list means that something denied or held would go missing from the list: then nothing is open at all.
  if (denied === undefined || hold.length > maxPatterns || permissions.patterns.length > maxPatterns) return nothing;
  const reachable = (pattern: Pattern): boolean => !denied.some((deny) => covers(deny.pattern, pattern));
  // An action request decides its own condition, so rules count here whatever their `when`.
  const askable = withoutCovered(
    rulesAbout(compiled, view).granting.flatMap(({ rule, actions }) => (isBreakGlass(rule) ? [] : actions)),
  );
  return {
    denied,
    hold,
    covered: permissions.patterns.filter(reachable),
    askable: askable.filter(reachable).slice(0, maxPatterns),
  };
}

/** Actions of the deny rules that match this subject and resource; `undefined` where everything is denied or the list is too long. */
function deniedActions(policies: readonly CompiledPolicy[], view: View): Judgement["denied"] | undefined {
  const denied: Judgement["denied"] = [];
  for (const compiled of policies.flatMap((policy) => rulesAbout(policy, view).deny)) {
    if (view.outcome(compiled).is === "false") continue;
    const { permits, message } = compiled.rule;
    if (permits?.roles === undefined && permits?.actions === undefined) return undefined;
    for (const pattern of compiled.actions) {
      if (!denied.some((other) => covers(other.pattern, pattern))) denied.push({ pattern, message });
    }
  }
  return denied.length > maxPatterns ? undefined : denied;
}

/** What a gateway does with one action, given as patterns that each stand for one thing it touches. */
export type JudgementOutcome =
  { readonly is: "denied"; readonly message?: string } | { readonly is: "held" | "covered" | "askable" };

/** Applies a judgement: any part denied denies, any part held holds, all parts covered are covered, all parts at least askable can be asked. */
export function judge(judgement: Judgement, action: readonly Pattern[]): JudgementOutcome {
  const deny = judgement.denied.find(({ pattern }) => action.some((part) => overlaps(pattern, part)));
  if (deny !== undefined) return { is: "denied", message: deny.message };
  if (action.length === 0) return { is: "denied" };
  const covered = (part: Pattern): boolean => coversUnion(judgement.covered, part);
  const asks = action.some((part) => judgement.hold.some((pattern) => overlaps(pattern, part)));
  if (!asks && action.every(covered)) return { is: "covered" };
  if (asks && action.every((part) => covered(part) || coversUnion(judgement.askable, part))) return { is: "held" };
  return action.every((part) => covered(part) || coversUnion(judgement.askable, part))
    ? { is: "askable" }
    : { is: "denied" };
}

function coversUnion(patterns: readonly Pattern[], part: Pattern): boolean {
  return coversAll(patterns, [part]);
}
