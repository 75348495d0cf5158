import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileRegex, type LinearRegex } from "./linear-regex.ts";

function regex(source: string): LinearRegex {
  const compiled = compileRegex(source);
  if (!compiled.ok) throw new Error(compiled.detail);
  return compiled.value;
}

describe("what matches", () => {
  it.each([
    ["^OPS-[0-9]+$", "OPS-12", true],
    ["^OPS-[0-9]+$", "OPS-", false],
    ["OPS-[0-9]+", "OPS-12", true],
    ["OPS-[0-9]+", "OPS-12 and more", false],
    ["OPS-[0-9]+|INC[0-9]{3}", "INC123", true],
    ["OPS-[0-9]+|INC[0-9]{3}", "INC12", false],
    ["(?:a|b)*c", "ababc", true],
    ["a{2,3}", "aaaa", false],
    ["a{2,}", "aaaa", true],
    ["a{0}", "", true],
    ["[^-a]b", "-b", false],
    ["[a-]b", "-b", true],
    ["[\\]x]", "]", true],
    ["\\d\\w\\s\\S\\D\\W", "1_ xé!", true],
    [".", "\u{1f511}", true],
    [".", "\n", false],
    ["", "", true],
    ["", "a", false],
    ["()", "", true],
    ["(a*)*", "aaa", true],
    ["a+?b??", "aab", true],
    ["\\bfoo\\b", "foo", true],
    ["\\.\\{\\/", ".{/", true],
  ])("the whole of %s against %j: %s", (source, text, expected) => {
    expect(regex(source).matchesWhole(text)).toBe(expected);
  });

  it("search finds a part, anchors hold at the ends of the text", () => {
    expect(regex("b+").search("aabba")).toBe(true);
    expect(regex("^b").search("ab")).toBe(false);
    expect(regex("a$").search("ab")).toBe(false);
    expect(regex("$").search("ab")).toBe(true);
    expect(regex("\\bcat\\b").search("concat it")).toBe(false);
    expect(regex("\\Bcat").search("concat it")).toBe(true);
  });
});

describe("what is refused", () => {
  it.each([
    "(a",
    "a)",
    "[a",
    "[]",
    "*a",
    "a**",
    "a{2",
    "a{3,2}",
    "(?=a)",
    "(?<n>a)",
    "(?i)a",
    "\\1",
    "\\p{L}",
    "\\x41",
    "\\",
    "[z-a]",
    "^*",
    "a{1000}{1000}",
    "(".repeat(200),
  ])("%s", (source) => {
    const compiled = compileRegex(source);
    expect(compiled.ok || compiled.code).toBe("invalid_regex");
  });
});

describe("time", () => {
  it.each(["(a+)+$", "(a*)*b", "(a|a)*b", "(a|aa)+$", "a*a*a*a*a*a*b", "(.*)*x"])(
    "%s ends soon on a text made to hurt",
    (source) => {
      const started = performance.now();
      expect(regex(source).matchesWhole(`${"a".repeat(2_000)}!`)).toBe(false);
      expect(performance.now() - started).toBeLessThan(2_000);
    },
  );
});

describe("held against JavaScript's own", () => {
  const atom = fc.constantFrom("a", "b", ".", "[ab]", "[^a]", "\\d", "\\w", "-", "1", "(?:ab|b)", "(a|)", "\\b");
  const source = fc
    .array(fc.tuple(atom, fc.constantFrom("", "", "*", "+", "?", "{1,2}", "{2}")), { maxLength: 5 })
    .map((parts) => parts.map(([one, times]) => (one === "\\b" ? one : one + times)).join(""));
  const anchored = fc
    .tuple(fc.constantFrom("", "^"), source, fc.constantFrom("", "$"), source)
    .map(([start, one, end, other]) => `${start}${one}${end === "$" ? "$" : `|${other}`}`);

  it("agrees on every expression both know", () => {
    fc.assert(
      fc.property(
        anchored,
        fc
          .array(fc.constantFrom("a", "b", "1", "-", "\u{1f511}", " "), { maxLength: 8 })
          .map((parts) => parts.join("")),
        (expression, text) => {
          const ours = regex(expression);
          expect(ours.search(text)).toBe(new RegExp(expression, "u").test(text));
          expect(ours.matchesWhole(text)).toBe(new RegExp(`^(?:${expression})$`, "u").test(text));
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
