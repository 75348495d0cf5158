import fc from "fast-check";
import { describe, expect, it } from "vitest";
import vectors from "./vectors/canonical.json" with { type: "json" };
import { canonicalJson } from "./canonical.ts";

describe("RFC 8785", () => {
  it.each(vectors.numbers)("number $bits is $text (appendix B)", ({ bits, text }) => {
    expect(canonicalJson(Buffer.from(bits, "hex").readDoubleBE())).toBe(text);
  });

  it.each(vectors.values)("$name", ({ input, canonical }) => {
    expect(canonicalJson(JSON.parse(input))).toBe(canonical);
  });

  it.each(["7ff0000000000000", "7ff8000000000000", "fff0000000000000"])("%s is no JSON number", (bits) => {
    expect(() => canonicalJson(Buffer.from(bits, "hex").readDoubleBE())).toThrow(TypeError);
  });
});

class Clock {
  readonly ms = 1;
}

describe("what JSON cannot hold has no canonical form", () => {
  it.each<[string, unknown]>([
    ["undefined", undefined],
    ["undefined in a list", [undefined]],
    ["a hole in a list", new Array(2)],
    ["a function", () => 1],
    ["a bigint", 1n],
    ["a symbol", Symbol("x")],
    ["a date", new Date(0)],
    ["a map", new Map()],
    ["bytes", new Uint8Array(1)],
    ["an instance", new Clock()],
    ["a lone surrogate", "\ud83d"],
    ["a lone surrogate in a key", { "\udc00": 1 }],
    ["NaN", Number.NaN],
  ])("%s", (_, value) => {
    expect(() => canonicalJson(value)).toThrow(TypeError);
    expect(() => canonicalJson({ nested: [value] })).toThrow(TypeError);
  });
});

describe("one text for one value", () => {
  it("an absent key and an undefined one are the same", () => {
    expect(canonicalJson({ a: undefined, b: 1 })).toBe(canonicalJson({ b: 1 }));
  });

  it("minus zero is zero", () => {
    expect(canonicalJson(-0)).toBe("0");
  });

  it("a key of the prototype is a key like others", () => {
    expect(canonicalJson(JSON.parse('{"__proto__":1,"a":2}'))).toBe('{"__proto__":1,"a":2}');
    expect(canonicalJson(Object.assign(Object.create(null) as object, { a: 1 }))).toBe('{"a":1}');
  });

  it("reads back as the value, and is its own canonical form", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const input: unknown = JSON.parse(JSON.stringify(value));
        let text: string;
        try {
          text = canonicalJson(input);
        } catch (error) {
          expect(JSON.stringify(input).isWellFormed() && !/\\ud[89a-f]/.test(JSON.stringify(input))).toBe(false);
          expect(error).toBeInstanceOf(TypeError);
          return;
        }
        expect(JSON.parse(text)).toEqual(input);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    );
  });

  it("does not depend on the order in which keys were set", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: "grapheme" }), fc.integer()),
        fc.infiniteStream(fc.nat()),
        (record, order) => {
          const shuffled = Object.entries(record)
            .map((entry) => ({ entry, by: order.next().value }))
            .sort((a, b) => a.by - b.by);
          expect(canonicalJson(Object.fromEntries(shuffled.map(({ entry }) => entry)))).toBe(canonicalJson(record));
        },
      ),
    );
  });
});
