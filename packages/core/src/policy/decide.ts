/**
 * The decision: one pure function from policy, request, resource and facts to an answer with reasons. The control plane stores what it
 * says; outposts compute it again and demand the same bytes. It reads no clock, keeps no state but compiled policies, and never throws for
 * documents that their schemas accept.
 *
 * 1. Every `deny` rule whose subjects and resources match and whose actions *overlap* what is asked refuses, unless its `when` is false. What
 *    a role can do counts as asked.
 * 2. Of the other rules, in order, the first whose subjects, resources and `permits` *cover* everything asked and whose `when` is true decides.
 *    `when` false: the next rule. `when` failing: refused.
 * 3. What exceeds the deciding rule's demands is refused with what to change.
 * 4. No match is a no, with the smallest thing that could be asked for instead.
 *
 * Rules with `breakGlass` stand apart: a request that sets it is decided by them alone, any other by the rest alone; deny rules see both.
 */
import type { ApproversFrom, Decision, Requirement } from "../documents/decision.ts";
import type { Digest } from "../documents/digest.ts";
import type { DenyRule, Policy, ReviewRule } from "../documents/policy.ts";
import { timeMs, toPlainText, toTime, type Time } from "../documents/primitives.ts";
import type { Asked, Facts } from "../documents/request.ts";
import type { ResourceSpec } from "../documents/resource-spec.ts";
import { durationMs } from "../lib/duration.ts";
import { askedParts, type AskedParts } from "./asked.ts";
import {
  compilePolicy,
  subjectViewOf,
  type BoundRule,
  type CompiledPolicy,
  type CompiledRule,
  type GrantingRule,
  type RulesFor,
  type SubjectView,
} from "./compile.ts";
import type { Outcome } from "./conditions.ts";
import { termsOf } from "./demands.ts";
import { describeFrom, describeStages } from "./describe.ts";
import { coversAll, overlapsAny } from "./patterns.ts";
import { suggestions } from "./suggest.ts";
import { variablesOf, type Variables } from "./variables.ts";

export interface DecideInput {
  readonly policy: Policy;
  /** The policy's own digest, where the caller has it already. */
  readonly policyDigest?: Digest;
  readonly asked: Asked;
  readonly spec: ResourceSpec;
  readonly facts: Facts;
  readonly createdAt: Time;
}

/** Why the deny rules of a policy refuse; `undefined` where none does. For asking again, under a newer policy, what was once decided. */
export function whyDenied({
  policy,
  policyDigest,
  asked,
  spec,
  facts,
  createdAt,
}: DecideInput): { readonly rule: string; readonly reasons: readonly string[] } | undefined {
  const view = viewOf(asked, spec, facts, createdAt);
  const refusal = denyAmong(rulesAbout(compilePolicy(policy, policyDigest), view).deny, view);
  return refusal?.rule === undefined ? undefined : { rule: refusal.rule, reasons: refusal.reasons.map(plain) };
}

/**
 * Whether any rule that grants lets this subject ask for actions on this resource at all: before anybody looks what one would touch. A condition
 * is not looked at, since it may be about just that.
 */
export function mayAskForActions({ policy, policyDigest, asked, spec, facts, createdAt }: DecideInput): boolean {
  const view = viewOf(asked, spec, facts, createdAt);
  return rulesAbout(compilePolicy(policy, policyDigest), view).granting.some(
    ({ rule, actions }) => isBreakGlass(rule) === (asked.breakGlass === true) && actions.length > 0,
  );
}

/** How long a request waits where its rule does not say. */
const defaultPendingMs = 24 * 3_600_000;

/** Decides. Deterministic: equal inputs give equal bytes. */
export function decide(input: DecideInput): Decision {
  const { asked, spec, facts, createdAt } = input;
  const policy = compilePolicy(input.policy, input.policyDigest);
  const view = viewOf(asked, spec, facts, createdAt);
  const unanswerable = whyUnanswerable(asked, spec);
  if (unanswerable !== undefined) return refuse(policy.digest, input, [unanswerable]);

  const rules = rulesAbout(policy, view);
  const answer = decideAmong(rules, view);
  if (answer.effect === "deny") {
    if (answer.final === true) return refuse(policy.digest, input, answer.reasons);
    const instead = suggestions(asked, spec, view.needed, (ask) => {
      const found = decideAmong(rules, viewOf({ ...asked, ask }, spec, facts, createdAt, view.subject));
      return found.effect === "deny" ? undefined : found.rule.rule;
    });
    return refuse(policy.digest, input, [...answer.reasons, ...instead], answer.rule);
  }

  const { rule } = answer.rule;
  const terms = termsOf(answer.rule, asked, spec, facts);
  if (terms.problems.length > 0) return refuse(policy.digest, input, terms.problems, rule.name);
  const stages = rule.effect === "review" ? stagesOf(rule) : [];
  const pending = rule.effect === "review" ? rule.pending : undefined;
  const pendingMs = pending?.expire === undefined ? defaultPendingMs : durationMs(pending.expire);
  return {
    policy: policy.digest,
    rule: rule.name,
    effect: rule.effect,
    reasons: [
      plain(
        rule.effect === "allow" ? `rule \`${rule.name}\` allows it` : `rule \`${rule.name}\` ${describeStages(stages)}`,
      ),
    ],
    stages,
    limits: terms.limits,
    via: terms.via,
    expiresAt: toTime(timeMs(createdAt) + pendingMs),
    ...(pending?.remind === undefined ? {} : { remindAfter: pending.remind }),
    onPolicyChange: rule.onPolicyChange ?? "end",
    ...(rule.effect === "allow" && rule.breakGlass !== undefined ? { review: rule.breakGlass.review } : {}),
  };
}

/** One request as the rules look at it. Conditions are evaluated once each, and their variables made only if there are any. */
export interface View extends AskedParts {
  readonly asked: Asked;
  readonly spec: ResourceSpec;
  readonly facts: Facts;
  readonly subject: SubjectView;
  readonly outcome: (rule: CompiledRule) => Outcome;
}

export function viewOf(
  asked: Asked,
  spec: ResourceSpec,
  facts: Facts,
  createdAt: Time,
  subject: SubjectView = subjectViewOf(asked, facts),
): View {
  let variables: Variables | undefined;
  const outcomes = new Map<string, Outcome>();
  return {
    asked,
    spec,
    facts,
    subject,
    ...askedParts(asked, spec, facts),
    outcome: ({ rule, when }) => {
      if (when === undefined) return { is: "true" };
      if (!when.ok) return { is: "failed", reason: when.detail };
      if (when.value.readsAsserted && rule.trustAsserted !== true)
        return { is: "failed", reason: "it reads `asserted` without `trustAsserted: true`" };
      const found = outcomes.get(when.value.text);
      if (found !== undefined) return found;
      variables ??= variablesOf(asked, spec, facts, createdAt);
      const outcome = when.value.evaluate(variables);
      outcomes.set(when.value.text, outcome);
      return outcome;
    },
  };
}

/** The rules whose subjects and resources match. */
export function rulesAbout(policy: CompiledPolicy, { spec, subject }: View): RulesFor {
  const { deny, granting } = policy.rulesFor(spec);
  return {
    deny: deny.filter((rule) => rule.matchesSubject(subject)),
    granting: granting.filter((rule) => rule.matchesSubject(subject)),
  };
}

interface Refusal {
  readonly effect: "deny";
  readonly reasons: readonly string[];
  readonly rule?: string;
  /** Nothing that could be asked for instead would help. */
  readonly final?: true;
}

type Answer = Refusal | { readonly effect: "allow" | "review"; readonly rule: BoundRule<GrantingRule> };

function decideAmong({ deny, granting }: RulesFor, view: View): Answer {
  const refusal = denyAmong(deny, view);
  if (refusal !== undefined) return refusal;
  const breakGlass = view.asked.breakGlass === true;
  if (breakGlass && view.facts.verified.reviewsOwed.length > 0) {
    return { effect: "deny", reasons: owedReasons(granting, view), final: true };
  }
  const conditions: string[] = [];
  for (const candidate of granting) {
    if (isBreakGlass(candidate.rule) !== breakGlass || !permitsAsked(candidate, view)) continue;
    const outcome = view.outcome(candidate);
    if (outcome.is === "failed") return failed(candidate, outcome.reason);
    if (outcome.is === "true") return { effect: candidate.rule.effect, rule: candidate };
    conditions.push(`rule \`${candidate.rule.name}\` would decide it, but its condition does not hold`);
  }
  return {
    effect: "deny",
    reasons: [`no ${breakGlass ? "break-glass " : ""}rule permits this`, ...conditions.slice(0, 5)],
  };
}

/** Grants named in a refusal because they wait for a review. */
const maxNamedDebts = 10;

/** Which reviews stand in the way of breaking the glass again, and who gives them under the rules that would decide. */
function owedReasons(granting: RulesFor["granting"], view: View): string[] {
  const { reviewsOwed } = view.facts.verified;
  const named = reviewsOwed.slice(0, maxNamedDebts).map((id) => `\`${id}\``);
  const more = reviewsOwed.length > named.length ? ` and ${String(reviewsOwed.length - named.length)} more` : "";
  const reviewers = granting.flatMap((candidate) => {
    const { rule } = candidate;
    if (rule.effect !== "allow" || rule.breakGlass === undefined || !permitsAsked(candidate, view)) return [];
    return [`rule \`${rule.name}\` has such grants reviewed by ${describeFrom(rule.breakGlass.review.from)}`];
  });
  return [
    `the glass cannot be broken again before these grants are reviewed (\`cardea review\`): ${named.join(", ")}${more}`,
    ...reviewers.slice(0, 5),
  ];
}

function denyAmong(rules: RulesFor["deny"], view: View): Refusal | undefined {
  for (const deny of rules) {
    if (!deniesAsked(deny, view)) continue;
    const outcome = view.outcome(deny);
    if (outcome.is === "true")
      return {
        effect: "deny",
        reasons: [`rule \`${deny.rule.name}\` refuses it`, deny.rule.message],
        rule: deny.rule.name,
      };
    if (outcome.is === "failed") return failed(deny, outcome.reason);
  }
  return undefined;
}

function failed({ rule }: CompiledRule, reason: string): Refusal {
  return {
    effect: "deny",
    reasons: [`the condition of rule \`${rule.name}\` could not be evaluated, so it refuses: ${reason}`],
    rule: rule.name,
  };
}

export function isBreakGlass(rule: GrantingRule): boolean {
  return rule.effect === "allow" && rule.breakGlass !== undefined;
}

/** Whether a deny rule is about what is asked. Without `permits` it is about everything. */
function deniesAsked({ rule, actions }: BoundRule<DenyRule>, { asked, touched }: View): boolean {
  const roles = rule.permits?.roles;
  if (roles === undefined && rule.permits?.actions === undefined) return true;
  if (roles !== undefined && "role" in asked.ask && (roles.includes("*") || roles.includes(asked.ask.role)))
    return true;
  return overlapsAny(actions, touched);
}

function permitsAsked({ rule, actions }: BoundRule<GrantingRule>, { asked, needed }: View): boolean {
  const { roles } = rule.permits;
  if ("role" in asked.ask) return roles !== undefined && (roles.includes("*") || roles.includes(asked.ask.role));
  return coversAll(actions, needed);
}

function whyUnanswerable(asked: Asked, spec: ResourceSpec): string | undefined {
  if (asked.resource !== spec.name)
    return `the request names \`${asked.resource}\`, the specification is of \`${spec.name}\``;
  if ("role" in asked.ask && !Object.hasOwn(spec.roles, asked.ask.role)) {
    const roles = Object.keys(spec.roles).sort().slice(0, 20);
    return `\`${spec.name}\` has no role \`${asked.ask.role}\`; ${roles.length === 0 ? "it has none" : `its roles are ${roles.join(", ")}`}`;
  }
  if ((asked.requester.kind === "agent") !== (asked.requester.onBehalfOf !== undefined)) {
    return "an agent, and only an agent, must say for whom it acts";
  }
  if (asked.within !== undefined && !("action" in asked.ask)) return "only an exact action is asked for from a session";
  return undefined;
}

function stagesOf(rule: ReviewRule): Requirement[][] {
  const escalate = rule.pending?.escalate;
  return rule.approvals.map((stage, stageIndex) =>
    (Array.isArray(stage) ? stage : [stage]).map((requirement, index) => ({
      id: `${String(stageIndex + 1)}.${String(index + 1)}`,
      count: requirement.count,
      from: copyOf(requirement.from),
      signed: requirement.signed ?? "any",
      ...(escalate === undefined ? {} : { escalate: { after: escalate.after, from: copyOf(escalate.to) } }),
    })),
  );
}

function copyOf(from: ApproversFrom): ApproversFrom {
  return structuredClone(from);
}

function refuse(
  policy: Digest,
  { asked, createdAt }: DecideInput,
  reasons: readonly string[],
  rule?: string,
): Decision {
  return {
    policy,
    ...(rule === undefined ? {} : { rule }),
    effect: "deny",
    reasons: reasons.slice(0, 50).map(plain),
    stages: [],
    limits: { duration: asked.window.duration, ...asked.limits },
    via: asked.via ?? "gateway",
    expiresAt: toTime(timeMs(createdAt) + defaultPendingMs),
    onPolicyChange: "end",
  };
}

/** Keeps a reason within what the document's schema accepts, whatever a condition or an expression put into it. */
function plain(text: string): string {
  return toPlainText(text, 1_000);
}
