import { expect, test } from "vitest";
import type { Pattern } from "@cardea/core/documents/pattern";
import { SessionClosed } from "@cardea/core/wire/session-events";
import { Uses } from "./uses.ts";

const on = (name: string, ...tables: string[]): Pattern => ({
  name,
  facets: { tables: { matcher: "names", values: tables } },
});

test("equal permissions of different texts add up, the most used first", () => {
  const uses = new Uses();
  const read = [on("sql.select", "public.orders")];
  uses.note(read);
  uses.note(read);
  uses.note([on("sql.update", "public.orders"), on("sql.select", "public.orders")]);
  uses.note([{ name: "sql.delete", facets: { requireWhere: { matcher: "flag", value: true } } }]);
  uses.note([]);
  expect(uses.told()).toEqual([
    { name: "sql.select", facets: { tables: ["public.orders"] }, count: 3 },
    { name: "sql.update", facets: { tables: ["public.orders"] }, count: 1 },
    { name: "sql.delete", facets: { requireWhere: ["true"] }, count: 1 },
  ]);
});

test("a client that never says the same twice costs no more than so much, and what is told has its form", () => {
  const uses = new Uses();
  for (let at = 0; at < 20_000; at++) uses.note([on("sql.select", `public.t${String(at)}`)]);
  for (let at = 0; at < 3; at++) uses.note([on("sql.select", "public.t7")]);
  const told = uses.told();
  expect(told).toHaveLength(200);
  expect(told[0]).toEqual({ name: "sql.select", facets: { tables: ["public.t7"] }, count: 4 });
  expect(SessionClosed.parse({ why: "client", uses: told }).uses).toEqual(told);
});

test("long lists of values are cut", () => {
  const uses = new Uses();
  uses.note([on("sql.select", ...Array.from({ length: 5_000 }, (_, at) => `public.t${String(at)}`))]);
  expect(uses.told()[0]?.facets?.["tables"]).toHaveLength(100);
});
