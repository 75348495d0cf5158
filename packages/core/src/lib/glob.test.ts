import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchesGlob } from "./glob.ts";

describe("globs", () => {
  it.each([
    ["prod-*", "prod-orders", true],
    ["prod-*", "prod-", true],
    ["prod-*", "prod", false],
    ["*", "", true],
    ["", "", true],
    ["", "a", false],
    ["a", "a", true],
    ["a*a", "a", false],
    ["a*b*c", "aXbYc", true],
    ["a*b*c", "aXcYb", false],
    ["*ab*ab*", "abab", true],
    ["*ab*ab", "ab", false],
    ["prod.*", "prodxorders", false],
    ["**", "anything", true],
  ])("%s against %s: %s", (glob, text, expected) => {
    expect(matchesGlob(glob, text)).toBe(expected);
  });

  it("agree with the expression that they stand for", () => {
    const piece = fc.array(fc.constantFrom("a", "b", "*", "."), { maxLength: 7 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(
        piece,
        fc.array(fc.constantFrom("a", "b", "."), { maxLength: 9 }).map((parts) => parts.join("")),
        (glob, text) => {
          const expression = glob
            .split("*")
            .map((part) => part.replaceAll(".", "\\."))
            .join(".*");
          expect(matchesGlob(glob, text)).toBe(new RegExp(`^${expression}$`).test(text));
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
