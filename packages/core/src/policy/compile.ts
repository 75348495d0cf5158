/**
 * A policy made ready to decide with: conditions compiled, lists turned into sets, globs split. Made once for each policy object and kept
 * as long as that lives. Called by decisions, judgements and checks; it decides nothing.
 */
import { digestOf, type Digest } from "../documents/digest.ts";
import type { Pattern } from "../documents/pattern.ts";
import type { DenyRule, PolicyAction, Policy, Rule } from "../documents/policy.ts";
import type { Asked, Facts } from "../documents/request.ts";
import type { Capabilities, ResourceSpec } from "../documents/resource-spec.ts";
import { matchesGlob } from "../lib/glob.ts";
import { compileRegex, type LinearRegex } from "../lib/linear-regex.ts";
import type { Result } from "../lib/result.ts";
import { compileCondition, type Condition } from "./conditions.ts";

export type GrantingRule = Exclude<Rule, DenyRule>;

/** Who asks, as rules look at it. */
export interface SubjectView {
  readonly requester: Asked["requester"];
  readonly groups: ReadonlySet<string>;
  readonly claims: Facts["verified"]["claims"];
}

export interface CompiledRule<R extends Rule = Rule> {
  readonly rule: R;
  readonly matchesSubject: (subject: SubjectView) => boolean;
  readonly matchesResource: (spec: ResourceSpec) => boolean;
  /** Absent where the rule has none. A condition that does not compile fails whenever it is asked. */
  readonly when?: Result<Condition, "invalid_condition">;
  readonly ticket?: Result<LinearRegex, "invalid_regex">;
}

/** A rule that matches one resource, with its `permits.actions` as that resource's facets read them: wide to deny, narrow to grant. */
export interface BoundRule<R extends Rule = Rule> extends CompiledRule<R> {
  readonly actions: readonly Pattern[];
}

export interface RulesFor {
  readonly deny: readonly BoundRule<DenyRule>[];
  /** In the document's order. */
  readonly granting: readonly BoundRule<GrantingRule>[];
}

export interface CompiledPolicy {
  readonly digest: Digest;
  readonly deny: readonly CompiledRule<DenyRule>[];
  /** In the document's order. */
  readonly granting: readonly CompiledRule<GrantingRule>[];
  /** The rules that match a resource; found once for each specification object. */
  readonly rulesFor: (spec: ResourceSpec) => RulesFor;
}

const known = new WeakMap<Policy, CompiledPolicy>();

/**
 * Compiles a policy once per object. INVARIANT: neither policies nor specifications are altered after they were first used; `digest`, if
 * given, must be the policy's own.
 */
export function compilePolicy(policy: Policy, digest?: Digest): CompiledPolicy {
  const found = known.get(policy);
  if (found !== undefined) return found;
  const deny: CompiledRule<DenyRule>[] = [];
  const granting: CompiledRule<GrantingRule>[] = [];
  for (const rule of policy.document.rules) {
    if (rule.effect === "deny") deny.push(compileRule(rule));
    else granting.push(compileRule(rule));
  }
  const bound = new WeakMap<ResourceSpec, RulesFor>();
  const rulesFor = (spec: ResourceSpec): RulesFor => {
    let rules = bound.get(spec);
    if (rules === undefined) {
      const { facets } = spec.capabilities;
      rules = {
        deny: deny
          .filter((rule) => rule.matchesResource(spec))
          .map((rule) => ({ ...rule, actions: widePatterns(rule.rule.permits?.actions, facets) })),
        granting: granting
          .filter((rule) => rule.matchesResource(spec))
          .map((rule) => ({ ...rule, actions: narrowPatterns(rule.rule.permits.actions, facets) })),
      };
      bound.set(spec, rules);
    }
    return rules;
  };
  const result = { digest: digest ?? digestOf("policy", policy), deny, granting, rulesFor };
  known.set(policy, result);
  return result;
}

function compileRule<R extends Rule>(rule: R): CompiledRule<R> {
  const ticket = rule.effect === "deny" ? undefined : rule.require?.ticket;
  return {
    rule,
    matchesSubject: subjectMatcher(rule),
    matchesResource: resourceMatcher(rule),
    ...(rule.when === undefined ? {} : { when: compileCondition(rule.when) }),
    ...(ticket === undefined ? {} : { ticket: compileRegex(ticket) }),
  };
}

export function subjectViewOf(asked: Asked, facts: Facts): SubjectView {
  return { requester: asked.requester, groups: new Set(facts.verified.groups), claims: facts.verified.claims };
}

/** Whether a rule is about a subject. */
export function subjectMatcher({ subjects }: Rule): CompiledRule["matchesSubject"] {
  if (subjects === undefined) return () => true;
  const kinds = subjects.kinds && new Set(subjects.kinds);
  const ids = subjects.ids && new Set(subjects.ids);
  const named = Object.entries(subjects.claims ?? {});
  return ({ requester, groups, claims }) => {
    if (kinds !== undefined && !kinds.has(requester.kind)) return false;
    if (ids !== undefined && !ids.has(requester.id)) return false;
    if (subjects.groups !== undefined && !subjects.groups.some((group) => groups.has(group))) return false;
    return named.every(([name, glob]) => {
      const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
      return value !== undefined && matchesGlob(glob, value);
    });
  };
}

/** Whether a rule is about a resource. */
export function resourceMatcher({ resources }: Rule): CompiledRule["matchesResource"] {
  if (resources === undefined) return () => true;
  const kinds = resources.kinds && new Set(resources.kinds);
  const labels = Object.entries(resources.labels ?? {});
  return (spec) => {
    if (kinds !== undefined && !kinds.has(spec.kind)) return false;
    if (!labels.every(([name, value]) => Object.hasOwn(spec.labels, name) && spec.labels[name] === value)) return false;
    return resources.names === undefined || resources.names.some((glob) => matchesGlob(glob, spec.name));
  };
}

/** A rule's action as a pattern under a resource's facets, and the facets that this resource does not know. */
export function patternOf(
  action: PolicyAction,
  facets: Capabilities["facets"],
): { readonly pattern: Pattern; readonly unknown: readonly string[] } {
  if (typeof action === "string") return { pattern: { name: action }, unknown: [] };
  const { name, ...written } = action;
  const unknown: string[] = [];
  const read: NonNullable<Pattern["facets"]> = {};
  for (const [key, value] of Object.entries(written)) {
    const matcher = Object.hasOwn(facets, key) ? facets[key] : undefined;
    if (matcher === "flag" && value === true) read[key] = { matcher, value };
    else if ((matcher === "set" || matcher === "names") && Array.isArray(value)) read[key] = { matcher, values: value };
    else unknown.push(key);
  }
  return { pattern: Object.keys(read).length === 0 ? { name } : { name, facets: read }, unknown };
}

/**
 * Patterns for allowing: an action with a restriction that this resource cannot compare is left out, since it covers nothing for certain.
 */
function narrowPatterns(actions: readonly PolicyAction[] | undefined, facets: Capabilities["facets"]): Pattern[] {
  return (actions ?? [])
    .map((action) => patternOf(action, facets))
    .flatMap(({ pattern, unknown }) => (unknown.length === 0 ? [pattern] : []));
}

/** Patterns for denying and holding: a restriction that this resource cannot compare is dropped, so that more is denied or held. */
export function widePatterns(actions: readonly PolicyAction[] | undefined, facets: Capabilities["facets"]): Pattern[] {
  return (actions ?? []).map((action) => patternOf(action, facets).pattern);
}
