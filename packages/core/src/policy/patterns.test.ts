import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Facet, Pattern } from "../documents/pattern.ts";
import {
  covers,
  coversAll,
  intersect,
  intersectAll,
  nameCovers,
  overlaps,
  overlapsAny,
  withoutCovered,
} from "./patterns.ts";

const tables = (...values: string[]): Pattern => ({
  name: "sql.select",
  facets: { tables: { matcher: "names", values } },
});
const databases = (...values: string[]): Pattern => ({
  name: "sql.select",
  facets: { databases: { matcher: "set", values } },
});

describe("names", () => {
  it.each([
    ["sql.select", "sql.select", true],
    ["sql.*", "sql.select", true],
    ["sql.*", "sql.ddl.drop", true],
    ["sql.*", "sql.ddl.*", true],
    ["sql.*", "sql.*", true],
    ["*", "anything.*", true],
    ["sql.*", "sql", false],
    ["sql.*", "sql.", false],
    ["sql.*", "sqlx.select", false],
    ["sql.ddl.*", "sql.*", false],
    ["sql.select", "sql.*", false],
    ["sql.select", "sql.selects", false],
  ])("%s over %s: %s", (outer, inner, expected) => {
    expect(nameCovers(outer, inner)).toBe(expected);
  });
});

describe("facets", () => {
  it("an absent facet restricts nothing", () => {
    expect(covers({ name: "sql.select" }, tables("public.orders"))).toBe(true);
    expect(covers(tables("public.orders"), { name: "sql.select" })).toBe(false);
    expect(overlaps(tables("public.orders"), { name: "sql.select" })).toBe(true);
  });

  it("an empty record of facets is the same as none", () => {
    expect(covers({ name: "sql.select", facets: {} }, { name: "sql.select" })).toBe(true);
    expect(intersect({ name: "sql.select", facets: {} }, { name: "sql.select" })).toEqual({ name: "sql.select" });
  });

  it("sets compare exactly, dotted names by prefix", () => {
    expect(covers(databases("orders"), databases("Orders"))).toBe(false);
    expect(covers(databases("a.*"), databases("a.b"))).toBe(false);
    expect(covers(tables("public.*"), tables("public.orders", "public.items"))).toBe(true);
    expect(covers(tables("public.*"), tables("public.orders", "audit.log"))).toBe(false);
    expect(overlaps(tables("public.*"), tables("audit.log"))).toBe(false);
    expect(overlaps(tables("public.orders"), tables("public.*"))).toBe(true);
  });

  it("a flag in the outer pattern is a demand on the inner one", () => {
    const flagged: Pattern = { name: "sql.update", facets: { requireWhere: { matcher: "flag", value: true } } };
    expect(covers(flagged, { name: "sql.update" })).toBe(false);
    expect(covers({ name: "sql.update" }, flagged)).toBe(true);
    expect(covers(flagged, flagged)).toBe(true);
    expect(overlaps(flagged, { name: "sql.update" })).toBe(true);
  });

  it("what cannot be compared overlaps, never covers and has no intersection", () => {
    const asSet: Pattern = { name: "sql.select", facets: { tables: { matcher: "set", values: ["public.orders"] } } };
    const asFlag: Pattern = { name: "sql.select", facets: { tables: { matcher: "flag", value: true } } };
    for (const other of [asSet, asFlag]) {
      expect(covers(tables("public.orders"), other)).toBe(false);
      expect(covers(other, tables("public.orders"))).toBe(false);
      expect(overlaps(tables("audit.log"), other)).toBe(true);
      expect(intersect(tables("public.orders"), other)).toBeUndefined();
    }
  });

  it("a facet called like a member of every object is a facet like others", () => {
    const facet: Facet = { matcher: "set", values: ["a"] };
    const odd: Pattern = { name: "sql.select", facets: { constructor: facet } };
    expect(covers(odd, { name: "sql.select", facets: {} })).toBe(false);
    expect(intersect(odd, { name: "sql.select" })).toEqual(odd);
  });
});

describe("unions", () => {
  it("cover a pattern value by value", () => {
    const inner = tables("a.x", "b.y");
    expect(coversAll([tables("a.*"), tables("b.y")], [inner])).toBe(true);
    expect(coversAll([tables("a.*")], [inner])).toBe(false);
    expect(coversAll([], [inner])).toBe(false);
  });

  it("do not mix facets of different patterns", () => {
    const both = (table: string, database: string): Pattern => ({
      name: "sql.select",
      facets: { databases: { matcher: "set", values: [database] }, tables: { matcher: "names", values: [table] } },
    });
    const inner: Pattern = {
      name: "sql.select",
      facets: {
        databases: { matcher: "set", values: ["d1", "d2"] },
        tables: { matcher: "names", values: ["t.a", "t.b"] },
      },
    };
    expect(coversAll([both("t.a", "d1"), both("t.b", "d2")], [inner])).toBe(false);
    expect(coversAll([both("t.a", "d1"), both("t.b", "d2"), both("t.a", "d2"), both("t.b", "d1")], [inner])).toBe(true);
  });

  it("never claim to cover a wildcard by listing names: what it stands for is not known here", () => {
    expect(coversAll([{ name: "sql.select" }, { name: "sql.update" }], [{ name: "sql.*" }])).toBe(false);
  });

  it("answer in bounded time, with no, where a union is too large to try", () => {
    const values = Array.from({ length: 300 }, (_, index) => `v${String(index)}`);
    const facet = (): Facet => ({ matcher: "set", values });
    const inner: Pattern = { name: "sql.select", facets: { a: facet(), b: facet(), c: facet(), d: facet() } };
    const halves = [values.slice(0, 150), values.slice(150)].map((half): Pattern => ({
      name: "sql.select",
      facets: { d: { matcher: "set", values: half } },
    }));
    const started = performance.now();
    expect(coversAll(halves, [inner])).toBe(false);
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  it("nothing asked is covered by anything and overlaps with nothing", () => {
    expect(coversAll([], [])).toBe(true);
    expect(overlapsAny([{ name: "sql.*" }], [])).toBe(false);
  });
});

// The model: an atom is an action name and at most one value, or a flag, per facet; a pattern is the set of atoms that it matches.
interface Atom {
  readonly name: string;
  readonly set: string | undefined;
  readonly dotted: string | undefined;
  readonly flag: boolean;
}
const names = ["sql.select", "sql.update", "sql.ddl.drop", "http.read"];
const setValues = ["d1", "d2", "d3"];
const dottedValues = ["p.a", "p.b", "q.a", "p"];
const universe: Atom[] = names.flatMap((name) =>
  [...setValues, undefined].flatMap((set) =>
    [...dottedValues, undefined].flatMap((dotted) => [true, false].map((flag) => ({ name, set, dotted, flag }))),
  ),
);

function dottedMatches(pattern: string, text: string): boolean {
  return pattern === "*" || pattern === text || (pattern.endsWith(".*") && text.startsWith(pattern.slice(0, -1)));
}

function matches(pattern: Pattern, atom: Atom): boolean {
  if (!dottedMatches(pattern.name, atom.name)) return false;
  return Object.entries(pattern.facets ?? {}).every(([key, facet]) => {
    if (key === "flag") return atom.flag;
    const value = key === "set" ? atom.set : atom.dotted;
    if (value === undefined || facet.matcher === "flag") return false;
    return facet.values.some((one) => (key === "set" ? one === value : dottedMatches(one, value)));
  });
}

const pattern: fc.Arbitrary<Pattern> = fc
  .record({
    name: fc.constantFrom(...names, "sql.*", "sql.ddl.*", "http.*"),
    facets: fc.record(
      {
        set: fc.record({
          matcher: fc.constant("set" as const),
          values: fc.uniqueArray(fc.constantFrom(...setValues), { minLength: 1 }),
        }),
        dotted: fc.record({
          matcher: fc.constant("names" as const),
          values: fc.uniqueArray(fc.constantFrom(...dottedValues, "p.*", "q.*", "*"), { minLength: 1 }),
        }),
        flag: fc.constant({ matcher: "flag" as const, value: true as const }),
      },
      { requiredKeys: [] },
    ),
  })
  .map(({ name, facets }) => ({ name, facets }));
const patterns = fc.array(pattern, { maxLength: 4 });

describe("held against every atom of a small world", () => {
  it("covers is never wrong", () => {
    fc.assert(
      fc.property(pattern, pattern, (outer, inner) => {
        if (!covers(outer, inner)) return;
        for (const atom of universe) if (matches(inner, atom)) expect(matches(outer, atom)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("overlaps misses nothing", () => {
    fc.assert(
      fc.property(pattern, pattern, (a, b) => {
        if (universe.some((atom) => matches(a, atom) && matches(b, atom))) expect(overlaps(a, b)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("intersect is exactly the atoms of both", () => {
    fc.assert(
      fc.property(pattern, pattern, (a, b) => {
        const both = intersect(a, b);
        for (const atom of universe)
          expect(both !== undefined && matches(both, atom)).toBe(matches(a, atom) && matches(b, atom));
      }),
      { numRuns: 1_000 },
    );
  });

  it("coversAll is never wrong, and a union of its own parts is covered", () => {
    fc.assert(
      fc.property(patterns, patterns, (outers, inners) => {
        if (coversAll(outers, inners)) {
          for (const atom of universe)
            if (inners.some((inner) => matches(inner, atom)))
              expect(outers.some((outer) => matches(outer, atom))).toBe(true);
        }
        expect(coversAll(inners, inners)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it("intersectAll and withoutCovered keep exactly their atoms", () => {
    fc.assert(
      fc.property(patterns, patterns, (a, b) => {
        const both = intersectAll(a, b);
        const fewer = withoutCovered(a);
        for (const atom of universe) {
          const inA = a.some((one) => matches(one, atom));
          expect(both.some((one) => matches(one, atom))).toBe(inA && b.some((one) => matches(one, atom)));
          expect(fewer.some((one) => matches(one, atom))).toBe(inA);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("laws", () => {
  it("covers is reflexive and transitive, and implies overlaps", () => {
    fc.assert(
      fc.property(pattern, pattern, pattern, (a, b, c) => {
        expect(covers(a, a)).toBe(true);
        if (covers(a, b)) expect(overlaps(a, b)).toBe(true);
        if (covers(a, b) && covers(b, c)) expect(covers(a, c)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("overlaps is symmetric, and an intersection is covered by both", () => {
    fc.assert(
      fc.property(pattern, pattern, (a, b) => {
        expect(overlaps(a, b)).toBe(overlaps(b, a));
        const both = intersect(a, b);
        if (both === undefined) return;
        expect(covers(a, both) && covers(b, both)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
