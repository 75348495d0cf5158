/** Rules that never decide because an earlier one always does. Sound, not complete: what cannot be compared is taken not to shadow. */
import { canonicalJson } from "../documents/canonical.ts";
import type { PolicyAction, ResourceMatch, Rule, SubjectMatch } from "../documents/policy.ts";
import { matchesGlob } from "../lib/glob.ts";
import { isBreakGlass } from "./decide.ts";
import { nameCovers } from "./patterns.ts";
import type { Problem, Report } from "./problem.ts";

/** A warning where an earlier rule without a condition covers the rule at `index`. */
export function checkShadowed(rules: readonly Rule[], index: number, report: Report): Problem[] {
  const rule = rules[index];
  if (rule === undefined || rule.effect === "deny") return [];
  const earlier = rules
    .slice(0, index)
    .find((other) => other.effect !== "deny" && isBreakGlass(other) === isBreakGlass(rule) && shadows(other, rule));
  return earlier === undefined
    ? []
    : [
        report(
          "warning",
          "rule_shadowed",
          [],
          `rule \`${earlier.name}\` always decides first`,
          "put this rule before it, or take it out",
        ),
      ];
}

function shadows(outer: Rule, inner: Rule): boolean {
  return (
    outer.when === undefined &&
    subjectsCover(outer.subjects ?? {}, inner.subjects ?? {}) &&
    resourcesCover(outer.resources ?? {}, inner.resources ?? {}) &&
    permitsCover(outer, inner)
  );
}

function subjectsCover(outer: SubjectMatch, inner: SubjectMatch): boolean {
  return (
    listCovers(outer.kinds, inner.kinds) &&
    listCovers(outer.groups, inner.groups) &&
    listCovers(outer.ids, inner.ids) &&
    recordCovers(outer.claims, inner.claims, globCovers)
  );
}

function resourcesCover(outer: ResourceMatch, inner: ResourceMatch): boolean {
  const names = outer.names;
  return (
    (names === undefined || (inner.names?.every((name) => names.some((glob) => globCovers(glob, name))) ?? false)) &&
    listCovers(outer.kinds, inner.kinds) &&
    recordCovers(outer.labels, inner.labels, (a, b) => a === b)
  );
}

function permitsCover(outer: Rule, inner: Rule): boolean {
  const { roles: outerRoles = [], actions: outerActions = [] } = outer.permits ?? {};
  const { roles = [], actions = [] } = inner.permits ?? {};
  const every = roles.every((role) => outerRoles.includes("*") || outerRoles.includes(role));
  return (
    every &&
    roles.length + actions.length > 0 &&
    actions.every((action) => outerActions.some((other) => actionCovers(other, action)))
  );
}

function actionCovers(outer: PolicyAction, inner: PolicyAction): boolean {
  if (typeof outer === "string") return nameCovers(outer, typeof inner === "string" ? inner : inner.name);
  return canonicalJson(outer) === canonicalJson(inner);
}

function listCovers<T>(outer: readonly T[] | undefined, inner: readonly T[] | undefined): boolean {
  return outer === undefined || (inner?.every((value) => outer.includes(value)) ?? false);
}

function recordCovers(
  outer: Readonly<Record<string, string>> = {},
  inner: Readonly<Record<string, string>> = {},
  covers: (outer: string, inner: string) => boolean,
): boolean {
  return Object.entries(outer).every(([key, value]) => {
    const other = Object.hasOwn(inner, key) ? inner[key] : undefined;
    return other !== undefined && covers(value, other);
  });
}

/** A glob that matches another one's own text matches all that the other does: each of its `*` can only fall to one of ours. */
function globCovers(outer: string, inner: string): boolean {
  return matchesGlob(outer, inner);
}
