/** What a changed policy would have decided: past requests replayed, and two documents compared. Pure; the caller brings the past. */
import { canonicalJson } from "../documents/canonical.ts";
import type { Decision } from "../documents/decision.ts";
import type { Policy, PolicyDocument, Rule } from "../documents/policy.ts";
import type { Time } from "../documents/primitives.ts";
import type { Asked, Facts } from "../documents/request.ts";
import type { ResourceSpec } from "../documents/resource-spec.ts";
import { decide } from "./decide.ts";

export interface PastRequest {
  /** However the caller names it. */
  readonly id: string;
  readonly asked: Asked;
  readonly spec: ResourceSpec;
  readonly facts: Facts;
  readonly createdAt: Time;
  readonly decision: Decision;
}

/**
 * `allowed`: without approval now, not before. `refused`: now, not before. `reviewed`: with approval now, allowed or refused before.
 * `reviewedOtherwise`: by other approvers. `otherTerms`: the same effect with other limits or another way.
 */
export type Change = "allowed" | "refused" | "reviewed" | "reviewedOtherwise" | "otherTerms";

export interface SimulatedChange {
  readonly id: string;
  readonly change: Change;
  readonly before: Decision;
  readonly after: Decision;
}

export interface Simulation {
  readonly changes: readonly SimulatedChange[];
  readonly unchanged: number;
}

/** Decides each past request again, with the facts and the instant of then, under another policy. */
export function simulate(policy: Policy, past: Iterable<PastRequest>): Simulation {
  const changes: SimulatedChange[] = [];
  let unchanged = 0;
  for (const { id, asked, spec, facts, createdAt, decision: before } of past) {
    const after = decide({ policy, asked, spec, facts, createdAt });
    const change = changeOf(before, after);
    if (change === undefined) unchanged += 1;
    else changes.push({ id, change, before, after });
  }
  return { changes, unchanged };
}

function changeOf(before: Decision, after: Decision): Change | undefined {
  if (before.effect !== after.effect)
    return after.effect === "allow" ? "allowed" : after.effect === "deny" ? "refused" : "reviewed";
  if (after.effect === "deny") return undefined;
  if (!same(before.stages, after.stages)) return "reviewedOtherwise";
  const terms = ({ limits, via, review, onPolicyChange }: Decision): unknown => ({
    limits,
    via,
    review,
    onPolicyChange,
  });
  return same(terms(before), terms(after)) ? undefined : "otherTerms";
}

export interface RuleChange {
  readonly rule: string;
  readonly change: "added" | "removed" | "changed" | "moved";
}

/** How one document's rules differ from another's, by name. `moved` are rules whose place among those kept is another, since order decides. */
export function diffPolicies(before: PolicyDocument, after: PolicyDocument): RuleChange[] {
  const old = new Map(before.rules.map((rule) => [rule.name, rule]));
  const kept = new Set(after.rules.map(({ name }) => name));
  const removed = before.rules
    .filter(({ name }) => !kept.has(name))
    .map(({ name }): RuleChange => ({ rule: name, change: "removed" }));
  const oldOrder = before.rules.map(({ name }) => name).filter((name) => kept.has(name));
  const newOrder = after.rules.map(({ name }) => name).filter((name) => old.has(name));
  const still = unmoved(oldOrder, newOrder);
  const now = after.rules.flatMap((rule): RuleChange[] => {
    const change = ruleChange(old.get(rule.name), rule, still);
    return change === undefined ? [] : [{ rule: rule.name, change }];
  });
  return [...removed, ...now];
}

function ruleChange(
  before: Rule | undefined,
  after: Rule,
  unmovedNames: ReadonlySet<string>,
): RuleChange["change"] | undefined {
  if (before === undefined) return "added";
  if (!same(before, after)) return "changed";
  return unmovedNames.has(after.name) ? undefined : "moved";
}

/** A longest run of names that stand in the same order in both: those did not move. */
function unmoved(before: readonly string[], after: readonly string[]): ReadonlySet<string> {
  const places = new Map(before.map((name, place) => [name, place]));
  // Patience: tails[n] ends the lowest increasing run of n + 1 places; each item remembers the run before it.
  interface Item {
    readonly name: string;
    readonly place: number;
    readonly previous: Item | undefined;
  }
  const tails: Item[] = [];
  for (const name of after) {
    const place = places.get(name) ?? 0;
    const at = tails.findIndex((tail) => tail.place >= place);
    const index = at < 0 ? tails.length : at;
    tails[index] = { name, place, previous: tails[index - 1] };
  }
  const names = new Set<string>();
  for (let item = tails.at(-1); item !== undefined; item = item.previous) names.add(item.name);
  return names;
}

function same(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b);
}
