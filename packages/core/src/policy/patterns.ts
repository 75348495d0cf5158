/**
 * Comparing patterns over actions. Called by everything that asks whether permissions suffice: decisions, judgements, narrowings, gateways.
 * It knows three matchers and no connector.
 *
 * A pattern stands for a set of *atoms*: one action name with at most one value for each facet. A statement that touches two tables
 * is two atoms; it is covered when each of them is, by whichever pattern, as with privileges, and it meets a pattern when any atom does.
 *
 * INVARIANT: what cannot be compared overlaps and never covers, so that a doubt refuses on both sides.
 */
import type { Facet, Pattern } from "../documents/pattern.ts";

/** Work that one question about a union may take; beyond it the answer is "not covered", which is always safe. */
const unionBudget = 20_000;

/** Whether every atom of `inner` is one of `outer`. */
export function covers(outer: Pattern, inner: Pattern): boolean {
  if (!nameCovers(outer.name, inner.name)) return false;
  for (const [key, wanted] of Object.entries(outer.facets ?? {})) {
    const given = facetOf(inner, key);
    if (given === undefined || !facetCovers(wanted, given)) return false;
  }
  return true;
}

/** Whether some atom may belong to both. */
export function overlaps(a: Pattern, b: Pattern): boolean {
  if (!nameCovers(a.name, b.name) && !nameCovers(b.name, a.name)) return false;
  for (const [key, one] of Object.entries(a.facets ?? {})) {
    const other = facetOf(b, key);
    if (other !== undefined && !facetOverlaps(one, other)) return false;
  }
  return true;
}

/** The atoms of both, or `undefined` where there are none or where the facets cannot be compared. */
export function intersect(a: Pattern, b: Pattern): Pattern | undefined {
  const name = nameCovers(a.name, b.name) ? b.name : nameCovers(b.name, a.name) ? a.name : undefined;
  if (name === undefined) return undefined;
  const keys = [...new Set([...Object.keys(a.facets ?? {}), ...Object.keys(b.facets ?? {})])].sort();
  if (keys.length === 0) return { name };
  const facets: Record<string, Facet> = {};
  for (const key of keys) {
    const both = facetIntersection(facetOf(a, key), facetOf(b, key));
    if (both === undefined) return undefined;
    facets[key] = both;
  }
  return { name, facets };
}

/**
 * Whether the patterns together cover all that is asked. A union is tried value by value (`tables: [a, b]` under one pattern for `a` and
 * one for `b`); names are not, since which actions `sql.*` stands for is the connector's to know.
 */
export function coversAll(patterns: readonly Pattern[], asked: readonly Pattern[]): boolean {
  const budget = { left: unionBudget };
  return asked.every((inner) => unionCovers(patterns, inner, budget));
}

/** Whether anything of one list may also be of the other. */
export function overlapsAny(patterns: readonly Pattern[], asked: readonly Pattern[]): boolean {
  return patterns.some((one) => asked.some((other) => overlaps(one, other)));
}

/** The atoms of both lists, without patterns that another one of the result covers. */
export function intersectAll(a: readonly Pattern[], b: readonly Pattern[]): Pattern[] {
  return withoutCovered(
    a.flatMap((one) => b.map((other) => intersect(one, other)).filter((both) => both !== undefined)),
  );
}

/** Drops every pattern that a remaining one covers; the order of the others stays. */
export function withoutCovered(patterns: readonly Pattern[]): Pattern[] {
  const kept: Pattern[] = [];
  for (const pattern of patterns) {
    if (kept.some((other) => covers(other, pattern))) continue;
    const still = kept.filter((other) => !covers(pattern, other));
    kept.splice(0, kept.length, ...still, pattern);
  }
  return kept;
}

/** Dotted names: `sql.*` covers `sql.select` and `sql.ddl.*`, not `sql`; `*` covers everything. */
export function nameCovers(outer: string, inner: string): boolean {
  if (outer === inner || outer === "*") return true;
  return outer.endsWith(".*") && inner.startsWith(outer.slice(0, -1)) && inner.length > outer.length - 1;
}

/** Own members only, so that a facet called `constructor` is not found on every object. */
function facetOf(pattern: Pattern, key: string): Facet | undefined {
  const facets = pattern.facets;
  return facets !== undefined && Object.hasOwn(facets, key) ? facets[key] : undefined;
}

function facetCovers(outer: Facet, inner: Facet): boolean {
  if (outer.matcher === "flag") return inner.matcher === "flag";
  if (inner.matcher !== outer.matcher) return false;
  return inner.values.every((value) => valuesCover(outer, value));
}

function valuesCover(outer: Exclude<Facet, { matcher: "flag" }>, value: string): boolean {
  return outer.matcher === "set" ? outer.values.includes(value) : outer.values.some((name) => nameCovers(name, value));
}

function facetOverlaps(a: Facet, b: Facet): boolean {
  if (a.matcher === "flag" || b.matcher === "flag" || a.matcher !== b.matcher) return true;
  return a.values.some((one) => valuesCover(b, one)) || b.values.some((one) => valuesCover(a, one));
}

function facetIntersection(a: Facet | undefined, b: Facet | undefined): Facet | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (a.matcher === "flag") return b.matcher === "flag" ? a : undefined;
  if (b.matcher !== a.matcher) return undefined;
  const values = [
    ...a.values.filter((value) => valuesCover(b, value)),
    ...b.values.filter((value) => valuesCover(a, value)),
  ];
  return values.length === 0 ? undefined : { matcher: a.matcher, values: [...new Set(values)].sort() };
}

function unionCovers(patterns: readonly Pattern[], inner: Pattern, budget: { left: number }): boolean {
  budget.left -= patterns.length + 1;
  if (budget.left < 0) return false;
  const near = patterns.filter((outer) => nameCovers(outer.name, inner.name) && overlaps(outer, inner));
  if (near.some((outer) => covers(outer, inner))) return true;
  if (near.length < 2) return false;
  for (const [key, facet] of Object.entries(inner.facets ?? {})) {
    if (facet.matcher === "flag" || facet.values.length < 2) continue;
    // Splitting by one facet loses nothing: an inner pattern is the union of its parts by value.
    const { matcher } = facet;
    return facet.values.every((value) =>
      unionCovers(near, { ...inner, facets: { ...inner.facets, [key]: { matcher, values: [value] } } }, budget),
    );
  }
  return false;
}
