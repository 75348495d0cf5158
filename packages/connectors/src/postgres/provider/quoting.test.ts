import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { quoteIdent, quoteIdentVisibly, quoteLiteral, quoteOids, quoteTexts } from "./quoting.ts";

// That the server reads them back as they were is tested against real ones in `hostile-names.test.ts`.

describe("quoting", () => {
  test("names", () => {
    expect(quoteIdent("orders")).toBe('"orders"');
    expect(quoteIdent('a"b')).toBe('"a""b"');
    expect(quoteIdent("x".repeat(63))).toHaveLength(65);
  });

  test.each(["", "a\0b", "x".repeat(64), "é".repeat(32), "\ud800"])("refuses the name %j", (name) => {
    expect(() => quoteIdent(name)).toThrow(RangeError);
  });

  test("values", () => {
    expect(quoteLiteral("it's")).toBe("'it''s'");
    expect(quoteLiteral("a\\'b")).toBe(" E'a\\\\''b'");
    expect(() => quoteLiteral("a\0")).toThrow(RangeError);
    expect(() => quoteLiteral("\udfff")).toThrow(RangeError);
    expect(quoteTexts([])).toBe("array[]::text[]");
    expect(quoteTexts(["a", "'"])).toBe("array['a', '''']::text[]");
  });

  test("object ids", () => {
    expect(quoteOids([0, 4_294_967_295])).toBe("array[0, 4294967295]::oid[]");
    for (const bad of [-1, 4_294_967_296, 1.5, Number.NaN]) expect(() => quoteOids([bad])).toThrow(RangeError);
  });

  test("nothing inside closes a quoted name or value", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("'", '"', "\\", "a", "-", ";", "\n", "$"), minLength: 1, maxLength: 30 }),
        (text) => {
          const name = quoteIdent(text).slice(1, -1);
          expect(name.replaceAll('""', "")).not.toContain('"');
          const literal = quoteLiteral(text);
          const inside = literal.replace(/^ E/, "").slice(1, -1);
          const escapes = literal.startsWith(" E");
          expect((escapes ? inside.replaceAll("\\\\", "") : inside).replaceAll("''", "")).not.toMatch(
            escapes ? /['\\]/ : /'/,
          );
        },
      ),
    );
  });

  test("for people, what cannot be seen stands as a number", () => {
    expect(quoteIdentVisibly("orders")).toBe('"orders"');
    expect(quoteIdentVisibly('a\u202eb\\"')).toBe('U&"a\\202eb\\\\"""');
  });
});
