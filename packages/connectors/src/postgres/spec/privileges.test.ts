import { describe, expect, test } from "vitest";
import type { Pattern } from "@cardea/core/documents/pattern";
import { parsePrivilege, toGrants, toPattern } from "./privileges.ts";

describe("privileges as configuration writes them", () => {
  test.each([
    ["select", { name: "select" }],
    [" truncate ", { name: "truncate" }],
    ["update(status, note)", { name: "update", columns: ["note", "status"] }],
    ["insert (a,a, b)", { name: "insert", columns: ["a", "b"] }],
    ['select("odd, name", "say ""hi""")', { name: "select", columns: ["odd, name", 'say "hi"'] }],
  ])("%s", (text, privilege) => {
    expect(parsePrivilege(text)).toEqual({ ok: true, value: privilege });
  });

  test.each([
    "",
    "all",
    "SELECT",
    "references",
    "trigger",
    "execute",
    "delete(a)",
    "truncate(a)",
    "update()",
    "update(a,)",
    "update(,a)",
    "update(a b)",
    "update(a",
    "update(a);drop",
    "select, insert",
    'update("a)',
  ])("%j is none", (text) => {
    expect(parsePrivilege(text)).toMatchObject({ ok: false, code: "invalid_privilege" });
  });
});

describe("permissions and grants", () => {
  const orders = [{ schema: "public", table: "orders" }];
  const update = toPattern({ name: "update", columns: ["note", "status"] }, orders, ["b", "a"]);
  const select = toPattern({ name: "select" }, [...orders, { schema: "public", table: undefined }], ["a"]);

  test("a pattern carries database, tables and columns as facets that core compares", () => {
    expect(update).toEqual({
      name: "sql.update",
      facets: {
        databases: { matcher: "set", values: ["a", "b"] },
        tables: { matcher: "names", values: ["public.orders"] },
        columns: { matcher: "set", values: ["note", "status"] },
      },
    });
  });

  test("compile back to what they came from, in one order and without doubles", () => {
    const grants = [
      { name: "select", databases: ["a"], tables: ["public.*", "public.orders"] },
      { name: "update", columns: ["note", "status"], databases: ["a", "b"], tables: ["public.orders"] },
    ];
    const forwards = toGrants([select, update]);
    expect(forwards.ok && [...forwards.value].sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual(grants);
    expect(toGrants([update, select, update])).toEqual(forwards);
  });

  test.each<[string, Pattern]>([
    ["another action", { ...select, name: "sql.call" }],
    ["a family of actions", { ...select, name: "sql.*" }],
    ["no tables", { name: "sql.select", facets: { databases: { matcher: "set", values: ["a"] } } }],
    ["no databases", { name: "sql.select", facets: { tables: { matcher: "names", values: ["public.orders"] } } }],
    ["a demand", { ...select, facets: { ...select.facets, requireWhere: { matcher: "flag", value: true } } }],
    ["an unknown facet", { ...select, facets: { ...select.facets, rows: { matcher: "set", values: ["1"] } } }],
    ["columns of a delete", { ...update, name: "sql.delete" }],
    [
      "a table that is none",
      { ...select, facets: { ...select.facets, tables: { matcher: "names", values: ["orders"] } } },
    ],
    [
      "a facet of another matcher",
      { ...select, facets: { ...select.facets, tables: { matcher: "set", values: ["public.orders"] } } },
    ],
  ])("%s cannot be enforced", (_name, pattern) => {
    expect(toGrants([select, pattern])).toMatchObject({ ok: false, code: "narrowing_unenforceable" });
  });
});
