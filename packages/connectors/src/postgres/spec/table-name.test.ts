import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatIdentifier, formatTableName, parseIdentifier, parseTableName } from "./table-name.ts";

describe("names of tables", () => {
  test.each([
    ["public.orders", { schema: "public", table: "orders" }],
    ["public.*", { schema: "public", table: undefined }],
    ['public."*"', { schema: "public", table: "*" }],
    ["public.Orders", { schema: "public", table: "Orders" }],
    ['"odd.schema"."say ""hi"""', { schema: "odd.schema", table: 'say "hi"' }],
    ["żółć.naïve$1", { schema: "żółć", table: "naïve$1" }],
  ])("%s", (text, name) => {
    expect(parseTableName(text)).toEqual(name);
    expect(formatTableName(name)).toBe(text);
  });

  test("a part that needs no quotes loses them", () => {
    const name = parseTableName('"public"."orders"');
    expect(name && formatTableName(name)).toBe("public.orders");
  });

  test.each([
    "",
    "orders",
    "public.",
    ".orders",
    "a.b.c",
    "*",
    "*.*",
    "*.orders",
    'a."',
    'a.""',
    "a.b c",
    "a.b*",
    "a.1b",
    `a.${"x".repeat(64)}`,
    "a.b\0",
    'a."\0"',
    "a.b;drop",
  ])("%j is none", (text) => {
    expect(parseTableName(text)).toBeUndefined();
  });

  test("every name survives being written and read", () => {
    const identifier = fc
      .string({ unit: "binary", minLength: 1, maxLength: 20 })
      .filter((name) => !name.includes("\0") && Buffer.byteLength(name) <= 63 && name.isWellFormed());
    fc.assert(
      fc.property(identifier, identifier, (schema, table) => {
        expect(parseIdentifier(formatIdentifier(table))).toBe(table);
        expect(parseTableName(formatTableName({ schema, table }))).toEqual({ schema, table });
        expect(parseTableName(formatTableName({ schema, table: undefined }))).toEqual({ schema, table: undefined });
      }),
    );
  });

  test("no text of one table covers another by being read as `schema.*`", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 10 }), (table) => {
        fc.pre(!table.includes("\0") && table.isWellFormed());
        expect(formatTableName({ schema: "public", table }).endsWith(".*")).toBe(false);
      }),
    );
  });
});
