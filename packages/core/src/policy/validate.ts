/**
 * What a policy that parses may still have wrong, held against the resources and people it is about. Called before a policy is applied and
 * whenever a resource or the roster changes. Errors keep it from being applied; warnings are shown.
 */
import type { PolicyAction, PolicyDocument, ReviewRule, Rule } from "../documents/policy.ts";
import type { Via } from "../documents/primitives.ts";
import type { ResourceSpec } from "../documents/resource-spec.ts";
import type { RosterEntry } from "../documents/roster.ts";
import { durationMs } from "../lib/duration.ts";
import { compileRegex } from "../lib/linear-regex.ts";
import { checkApprovers } from "./approvers.ts";
import { patternOf, resourceMatcher, type GrantingRule } from "./compile.ts";
import { compileCondition } from "./conditions.ts";
import { heldNatively, limitsWanted, limitWords } from "./demands.ts";
import type { Path, Problem, Report } from "./problem.ts";
import { checkNames } from "./names.ts";
import { checkShadowed } from "./shadow.ts";

export interface PolicySurroundings {
  readonly specs: readonly ResourceSpec[];
  /** All known groups; without them, names of groups are not checked. */
  readonly groups?: readonly string[];
  /** The roster; without it, approvers are not counted. */
  readonly people?: readonly RosterEntry[];
}

/** How long a request may be pending at most. */
const maxPendingMs = 30 * 86_400_000;
const maxProblems = 500;

/** Everything wrong with the policy, errors first, otherwise in the document's order. */
export function validatePolicy(document: PolicyDocument, surroundings: PolicySurroundings): Problem[] {
  const found = document.rules.flatMap((rule, index) => {
    const report = reporter(rule, index);
    const specs = surroundings.specs.filter(resourceMatcher(rule));
    return [
      ...checkWords(rule, report),
      ...checkResources(rule, specs, surroundings.specs.length > 0, report),
      ...(rule.effect === "deny" ? [] : checkGranting(rule, specs, report)),
      ...checkNames(rule, surroundings, report),
      ...checkApprovers(rule, surroundings.people, report),
      ...checkShadowed(document.rules, index, report),
    ];
  });
  const rank = ({ severity }: Problem): number => (severity === "error" ? 0 : 1);
  return found.sort((a, b) => rank(a) - rank(b)).slice(0, maxProblems);
}

/** Whether anything of it keeps the policy from being applied. */
export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some(({ severity }) => severity === "error");
}

function reporter(rule: Rule, index: number): Report {
  return (severity, code, path, message, hint) => ({
    severity,
    code,
    message,
    ...(hint === undefined ? {} : { hint }),
    rule: rule.name,
    path: ["rules", index, ...path],
  });
}

function checkWords(rule: Rule, report: Report): Problem[] {
  const problems: Problem[] = [];
  if (rule.permits !== undefined && rule.permits.roles === undefined && rule.permits.actions === undefined) {
    problems.push(
      report(
        "error",
        "permits_nothing",
        ["permits"],
        "`permits` names neither roles nor actions",
        "name some, or leave `permits` out of a deny rule that is about everything",
      ),
    );
  }
  if (rule.when !== undefined) {
    const condition = compileCondition(rule.when);
    if (!condition.ok) problems.push(report("error", "condition_invalid", ["when"], condition.detail));
    else if (condition.value.readsAsserted && rule.trustAsserted !== true) {
      problems.push(
        report(
          "error",
          "asserted_untrusted",
          ["when"],
          "the condition rests on what clients assert of themselves",
          "use a verified fact, or write `trustAsserted: true`",
        ),
      );
    }
  }
  if (rule.effect === "deny") return problems;
  const ticket = rule.require?.ticket === undefined ? undefined : compileRegex(rule.require.ticket);
  if (ticket !== undefined && !ticket.ok)
    problems.push(report("error", "regex_invalid", ["require", "ticket"], ticket.detail));
  return rule.effect === "review" ? [...problems, ...checkReview(rule, report)] : problems;
}

function checkReview(rule: ReviewRule, report: Report): Problem[] {
  const problems: Problem[] = [];
  for (const [stageIndex, stage] of rule.approvals.entries()) {
    for (const [index, requirement] of (Array.isArray(stage) ? stage : [stage]).entries()) {
      const path = ["approvals", stageIndex, ...(Array.isArray(stage) ? [index] : [])];
      if (requirement.signed !== undefined && requirement.signed !== "any") {
        problems.push(
          report(
            "error",
            "signature_unsupported",
            [...path, "signed"],
            `votes cannot be signed with \`${requirement.signed}\` yet, so nobody could meet this`,
            "write `signed: any` or leave it out",
          ),
        );
      }
      if ("external" in requirement.from) problems.push(external([...path, "from"], report));
    }
  }
  const { expire, remind, escalate } = rule.pending ?? {};
  const expireMs = expire === undefined ? 24 * 3_600_000 : durationMs(expire);
  if (expireMs > maxPendingMs)
    problems.push(
      report(
        "error",
        "pending_too_long",
        ["pending", "expire"],
        `\`${expire ?? ""}\` is longer than the 30d that a request may wait`,
        "write `30d` or less",
      ),
    );
  if (remind !== undefined && durationMs(remind) >= expireMs) {
    problems.push(
      report(
        "warning",
        "pending_unreached",
        ["pending", "remind"],
        "the request expires before anyone is reminded",
        "remind earlier",
      ),
    );
  }
  if (escalate !== undefined) {
    if (durationMs(escalate.after) >= expireMs)
      problems.push(
        report(
          "warning",
          "pending_unreached",
          ["pending", "escalate", "after"],
          "the request expires before it escalates",
          "escalate earlier",
        ),
      );
    if ("external" in escalate.to) problems.push(external(["pending", "escalate", "to"], report));
  }
  return problems;
}

function external(path: Path, report: Report): Problem {
  return report(
    "error",
    "external_unsupported",
    path,
    "outside systems cannot approve yet, so nobody could meet this",
    "name groups or subjects",
  );
}

function checkResources(rule: Rule, specs: readonly ResourceSpec[], anySpecs: boolean, report: Report): Problem[] {
  if (specs.length === 0) {
    return anySpecs
      ? [
          report(
            "warning",
            "resource_unmatched",
            rule.resources === undefined ? [] : ["resources"],
            "no registered resource matches",
          ),
        ]
      : [];
  }
  const problems: Problem[] = [];
  for (const [index, role] of (rule.permits?.roles ?? []).entries()) {
    if (role !== "*" && !specs.some((spec) => Object.hasOwn(spec.roles, role))) {
      problems.push(
        report("warning", "role_unknown", ["permits", "roles", index], `no matching resource has a role \`${role}\``),
      );
    }
  }
  problems.push(...checkFacets(rule.permits?.actions, ["permits", "actions"], specs, report));
  if (rule.effect !== "deny") problems.push(...checkFacets(rule.hold, ["hold"], specs, report));
  return problems;
}

/** A restriction that no matching resource can compare is misspelt, or of another kind of resource. */
function checkFacets(
  actions: readonly PolicyAction[] | undefined,
  path: Path,
  specs: readonly ResourceSpec[],
  report: Report,
): Problem[] {
  return (actions ?? []).flatMap((action, index) => {
    const unknown = specs.map((spec) => patternOf(action, spec.capabilities.facets).unknown);
    const everywhere = (unknown[0] ?? []).filter((key) => unknown.every((keys) => keys.includes(key)));
    return everywhere.map((key) =>
      report(
        "error",
        "facet_unknown",
        [...path, index, key],
        `no matching resource can compare \`${key}\` as it is written here`,
      ),
    );
  });
}

function checkGranting(rule: GrantingRule, specs: readonly ResourceSpec[], report: Report): Problem[] {
  const vias: readonly Via[] = rule.limits.via ?? ["gateway"];
  return specs.flatMap((spec) => {
    const offered = vias.filter((via) => spec.capabilities.vias[via] !== undefined);
    if (offered.length === 0) {
      return [
        report(
          "error",
          "via_not_offered",
          ["limits", "via"],
          `\`${spec.name}\` offers none of ${vias.join(", ")}`,
          `it offers ${Object.keys(spec.capabilities.vias).join(", ")}`,
        ),
      ];
    }
    return offered.flatMap((via) => [...checkLimits(rule, spec, via, report), ...checkHold(rule, spec, via, report)]);
  });
}

function checkLimits(rule: GrantingRule, spec: ResourceSpec, via: Via, report: Report): Problem[] {
  const enforcers = spec.capabilities.vias[via];
  return limitsWanted(rule.limits, rule.hold !== undefined)
    .filter((limit) => enforcers?.[limit] === "none")
    .map((limit) => {
      const path = limit === "hold" ? ["hold"] : limit === "expiry" ? ["limits", "via"] : ["limits", limit];
      return report(
        "error",
        "limit_unenforceable",
        path,
        `nothing would enforce ${limitWords[limit]} on a \`${via}\` key for \`${spec.name}\``,
        `take the limit out, or \`${via}\` out of \`limits.via\``,
      );
    });
}

function checkHold(rule: GrantingRule, spec: ResourceSpec, via: Via, report: Report): Problem[] {
  const roles = Object.entries(spec.roles).filter(
    ([name, role]) =>
      role.vias.includes(via) && (rule.permits.roles ?? []).some((wanted) => wanted === "*" || wanted === name),
  );
  return roles
    .filter(([, role]) => heldNatively(rule, role, via, spec))
    .map(([name]) =>
      report(
        "error",
        "hold_over_native_role",
        ["hold"],
        `role \`${name}\` of \`${spec.name}\` has held actions by itself, so nothing would hold them`,
        "hold other actions, or define the role by what it grants",
      ),
    );
}
