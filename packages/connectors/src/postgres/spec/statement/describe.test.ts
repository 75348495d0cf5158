import { beforeAll, describe as group, expect, test } from "vitest";
import { analyse } from "./analyse.ts";
import { describe } from "./describe.ts";
import type { Catalog, FunctionFact, RelationFact } from "./facts.ts";
import { loadParser, parse } from "./parser.ts";

beforeAll(loadParser);

const trigger = "can run the trigger audit calls public.write_audit";

const orders: RelationFact = {
  oid: 20_001,
  schema: "public",
  name: "orders",
  kind: "r",
  columns: ["id", "status", "note"],
  system: false,
  temporary: false,
  publicSelect: [],
  reaches: [{ is: "trigger", name: "audit calls public.write_audit", hash: "0" }],
};
const recalc: FunctionFact = {
  oid: 30_000,
  schema: "public",
  name: "recalc",
  kind: "function",
  minArgs: 0,
  maxArgs: 1,
  volatility: "volatile",
  language: "sql",
  definer: true,
  owner: "app_owner",
  system: false,
};
const catalog: Catalog = {
  creationSchema: "public",
  relation: (_schema, name) => (name === "orders" ? orders : "missing"),
  functions: (_schema, name) => (name === "recalc" ? [recalc] : []),
  operators: () => [],
  type: () => "missing",
  typeByOid: () => "missing",
};

function lines(text: string): readonly string[] {
  const parsed = parse(text);
  const settings = { standardConformingStrings: "on", clientEncoding: "UTF8", serverEncoding: "UTF8" };
  const analysis =
    parsed.is === "refused"
      ? parsed
      : analyse(parsed, {
          database: "shop",
          login: "l",
          serverVersion: 18,
          settings,
          catalog,
          prepared: () => undefined,
        });
  const [statement] = analysis.is === "statements" ? analysis.statements : [];
  if (statement === undefined) throw new Error(JSON.stringify(analysis));
  return describe(statement);
}

group("an approver reads", () => {
  test.each<[string, readonly string[]]>([
    [
      "update orders set status = 'paid' where id = 7",
      ["updates public.orders (status) where id = 7", "reads public.orders (id) where id = 7"],
    ],
    ["update orders set status = 'paid'", ["updates public.orders (status)", "no WHERE: every row"]],
    [
      "delete from orders where status = 'it''s' and (id in (1, 2) or note is null) and not (id > $1)",
      [
        "deletes from public.orders where status = 'it''s' and (id in (1, 2) or note is null) and (not (id > $1))",
        "reads public.orders (id, note, status) where status = 'it''s' and (id in (1, 2) or note is null) and (not (id > $1))",
      ],
    ],
    ["delete from orders where true", ["deletes from public.orders", "no WHERE: every row"]],
    ["insert into orders (id) values (1)", ["inserts into public.orders (id)"]],
    ["drop table orders cascade", ["drops public.orders", "CASCADE: everything that depends on these as well"]],
    ["select recalc()", ["can call public.recalc, with the rights of app_owner"]],
    ["alter system set work_mem = '1GB'", ["alter system, which counts as `sql.admin` on the whole database"]],
    ["set statement_timeout = 5", ["sets statement_timeout to 5"]],
    ["create index on orders (note)", ["create index on public.orders"]],
    ["vacuum orders", ["vacuum or analyze: public.orders"]],
    ["comment on table orders is 'x'", ["comment: public.orders"]],
    ["alter table orders add column x int", ["alters public.orders"]],
    [
      "create function f() returns int language sql as 'select 1'",
      ["create function, which counts as `sql.ddl.create` on the whole database", "makes the function f"],
    ],
    ["select 1", ["runs select, which touches no table"]],
    ["begin", ["runs begin, which touches no table"]],
    ["explain analyze delete from orders", ["deletes from public.orders", "no WHERE: every row"]],
  ])("%s", (text, expected) => {
    const about = expected.some((line) => line.includes("public.orders"));
    expect(lines(text)).toEqual(about ? [...expected, trigger] : expected);
  });

  test("no condition rather than a part of it", () => {
    const long = `select id from orders where id = ${"1 + ".repeat(80)}1`;
    expect(lines(long)).toEqual(["reads public.orders (id)", trigger]);
    expect(lines("select id from orders where id = (select max(id) from orders)")).toEqual([
      "reads public.orders (id)",
      trigger,
    ]);
  });
});
