import { beforeAll, describe, expect, test } from "vitest";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { actionOf, maxAskedBytes, meaningOf, SqlBinding, SqlWhat, whyNotAsked, type Surroundings } from "./action.ts";
import { analyse } from "./analyse.ts";
import type { Catalog, FunctionFact, Reach, RelationFact } from "./facts.ts";
import { loadParser, parse } from "./parser.ts";
import type { Statement } from "./statement.ts";

beforeAll(loadParser);

const relation = (name: string, oid: number, columns: string, more: Partial<RelationFact> = {}): RelationFact => ({
  oid,
  schema: "public",
  name,
  kind: "r",
  columns: columns.split(" "),
  system: false,
  temporary: false,
  publicSelect: [],
  ...more,
});
const relations: readonly RelationFact[] = [
  relation("orders", 20_001, "id status note total"),
  relation("items", 20_000, "id order_id"),
  relation("scratch", 20_002, "id", { schema: "pg_temp_7", temporary: true }),
  ...Array.from({ length: 101 }, (_, index) => relation(`t${index}`, 21_000 + index, "a")),
];
const recalc = (oid: number): FunctionFact => ({
  oid,
  schema: "public",
  name: "recalc",
  kind: "function",
  minArgs: 0,
  maxArgs: 1,
  volatility: "volatile",
  language: "sql",
  definer: false,
  owner: "app",
  system: false,
  hash: `hash of ${oid}`,
});

const catalog = (functions: readonly FunctionFact[]): Catalog => ({
  creationSchema: "public",
  relation: (_schema, name) => relations.find((one) => one.name === name) ?? "missing",
  functions: (_schema, name) => (name === "recalc" ? functions : []),
  operators: () => [],
  type: () => "missing",
  typeByOid: () => "missing",
});

function seen(text: string, functions = [recalc(30_000), recalc(30_001)]): Statement {
  const parsed = parse(text);
  const analysis =
    parsed.is === "refused"
      ? parsed
      : analyse(parsed, {
          database: "shop",
          login: "l",
          serverVersion: 18,
          settings: { standardConformingStrings: "on", clientEncoding: "UTF8", serverEncoding: "UTF8" },
          catalog: catalog(functions),
          prepared: () => undefined,
        });
  const [statement] = analysis.is === "statements" ? analysis.statements : [];
  if (statement === undefined) throw new Error(JSON.stringify(analysis));
  return statement;
}

const plain: Surroundings = {
  reaches: new Map(),
  eventTriggers: [],
  settings: { search_path: ["public"] },
  parameterTypes: [],
};

const bound = (text: string, around: Partial<Surroundings> = {}): SqlBinding =>
  SqlBinding.parse(actionOf({ database: "shop", statement: text }, seen(text), { ...plain, ...around }).binding);

const parts = (list: SqlBinding["patterns"]): readonly string[] =>
  list.map(({ name, databases: _, ...facets }) => `${String(name)} ${JSON.stringify(facets)}`);

describe("the action of a statement", () => {
  test("is its text, named by its weightiest part, with everything found out about it", () => {
    const text = "update orders set status = 'paid' where id = 7";
    const action = actionOf({ database: "shop", statement: text, params: ["a", null] }, seen(text), plain);
    expect(action).toEqual({
      type: "sql",
      name: "sql.update",
      what: { database: "shop", statement: text, params: ["a", null] },
      binding: {
        kind: "update",
        lines: ["updates public.orders (status) where id = 7", "reads public.orders (id) where id = 7"],
        ddl: false,
        transaction: "may",
        patterns: [
          {
            name: "sql.update",
            databases: ["shop"],
            tables: ["public.orders"],
            columns: ["status"],
            requireWhere: true,
          },
        ],
        aspects: [
          { name: "sql.select", databases: ["shop"], tables: ["public.orders"], columns: ["id"], requireWhere: true },
        ],
        relations: [{ oid: 20_001, schema: "public", name: "orders", reaches: [] }],
        functions: [],
        types: [],
        settings: { search_path: ["public"] },
      },
    });
    expect(SqlWhat.safeParse(action.what).success).toBe(true);
    expect(SqlBinding.parse(action.binding)).toEqual(action.binding);
  });

  test("what only a write reads of its own rows needs no cover, but can be denied; everything else that it reads does", () => {
    const select = (columns: string[] | undefined, more: object = {}, table = "public.orders"): string =>
      `sql.select ${JSON.stringify({ tables: [table], ...(columns === undefined ? {} : { columns }), ...more })}`;
    const where = { requireWhere: true };
    const selects = (text: string): { readonly cover: readonly string[]; readonly aspects: readonly string[] } => {
      const { patterns, aspects } = bound(text);
      return { cover: parts(patterns).filter((part) => part.startsWith("sql.select")), aspects: parts(aspects) };
    };
    const own = (columns: string[], more = {}): object => ({ cover: [], aspects: [select(columns, more)] });
    expect(selects("delete from orders where id = 7")).toEqual(own(["id"], where));
    expect(selects("update orders set total = total + 1")).toEqual(own(["total"]));
    expect(
      selects(
        "insert into orders (id) values (1) on conflict (id) do update set total = orders.total + excluded.total where orders.note is null",
      ),
    ).toEqual(own(["id", "note", "total"], where));
    expect(selects("delete from orders where id = 7 returning note, id")).toEqual({
      cover: [select(["id", "note"], where)],
      aspects: [],
    });
    expect(selects("delete from orders where id = 7 returning note")).toEqual({
      cover: [select(["note"], where)],
      aspects: [select(["id", "note"], where)],
    });
    expect(selects("update orders set status = 'x' from items where items.order_id = orders.id")).toEqual({
      cover: [select(["order_id"], where, "public.items")],
      aspects: [select(["id"], where)],
    });
    expect(selects("update orders set status = (select note from orders o where o.id = orders.id)")).toEqual({
      cover: [select(["id", "note"])],
      aspects: [],
    });
    expect(selects("delete from orders o where o is null")).toEqual({ cover: [select(undefined, where)], aspects: [] });
    expect(selects("delete from orders where ctid = '(0,1)'")).toEqual({
      cover: [select(undefined, where)],
      aspects: [],
    });
    expect(selects("delete from orders where (select count(*) from orders) > 1 and id = 1")).toEqual({
      cover: [select(["id"])],
      aspects: [],
    });
    expect(
      selects("merge into orders using items on items.order_id = orders.id when matched then delete").cover,
    ).toEqual([select(["id"], where), select(["order_id"], where, "public.items")]);
  });

  test("is the same however the server ordered its answers, and whichever session looked", () => {
    const text = "select recalc(), * from orders join items on orders.id = order_id join scratch using (id)";
    const what = { database: "shop", statement: text };
    const one = actionOf(what, seen(text, [recalc(30_000), recalc(30_001)]), plain);
    const other = actionOf(what, seen(text, [recalc(30_001), recalc(30_000)]), plain);
    expect(canonicalJson(one)).toBe(canonicalJson(other));
    const binding = SqlBinding.parse(one.binding);
    expect(binding.relations.map(({ schema, name }) => `${schema}.${name}`)).toEqual([
      "pg_temp.scratch",
      "public.items",
      "public.orders",
    ]);
    expect(binding.functions.map(({ oid }) => oid)).toEqual([30_000, 30_001]);
    expect(parts(binding.patterns).filter((part) => part.startsWith("sql.call"))).toHaveLength(1);
  });

  test("binds to what its relations reach: triggers only where they are written", () => {
    const reach = (is: Reach["is"], name: string): Reach => ({ is, name, hash: "h" });
    const reaches = new Map([
      [20_000, [reach("trigger", "audit on public.items"), reach("policy", "own on public.items")]],
      [20_001, [reach("foreign key", "items_order_id_fkey on public.items")]],
    ]);
    const { relations: found, lines } = bound("delete from orders using items where order_id = orders.id", { reaches });
    expect(found.map((one) => one.reaches.map(({ name }) => name))).toEqual([
      ["own on public.items"],
      ["items_order_id_fkey on public.items"],
    ]);
    expect(lines).toContain("can reach rows by the foreign key items_order_id_fkey on public.items");
    expect(lines).not.toContain("can run the trigger audit on public.items");
  });

  test("event triggers belong to what changes definitions", () => {
    const eventTriggers = [{ ...recalc(31_000), name: "on_ddl" }];
    expect(bound("alter table orders add column a int", { eventTriggers })).toMatchObject({
      ddl: true,
      functions: [{ name: "on_ddl", hash: "hash of 31000" }],
    });
    expect(bound("delete from orders", { eventTriggers }).functions).toEqual([]);
  });

  test("parameters' types count where the client fixed any", () => {
    expect(bound("select $1", { parameterTypes: [0] })).not.toHaveProperty("parameterTypes");
    expect(bound("select $1", { parameterTypes: [0, 23] }).parameterTypes).toEqual([0, 23]);
  });

  test("what every session may do stands there only where there is nothing else", () => {
    expect(parts(bound("select 1").patterns)).toEqual(["sql.session {}"]);
    expect(parts(bound("explain select id from orders").patterns)).toEqual([
      `sql.select {"tables":["public.orders"],"columns":["id"]}`,
    ]);
  });
});

test("names that are found along another path mean the same as long as they stand for the same things", () => {
  const along = (path: string[], more: object = {}): ReturnType<typeof actionOf> =>
    actionOf({ database: "shop", statement: "delete from orders" }, seen("delete from orders"), {
      ...plain,
      settings: { search_path: path, ...more },
    });
  expect(meaningOf(along(["app", "public"]))).toBe(meaningOf(along(["public"])));
  expect(meaningOf(along(["public"], { DateStyle: "ISO, DMY" }))).not.toBe(meaningOf(along(["public"])));
});

describe("what cannot be asked for", () => {
  const why = (text: string, params?: SqlWhat["params"]): string | undefined =>
    whyNotAsked({ statement: text, ...(params === undefined ? {} : { params }) }, seen(text))?.why;

  test.each(["prepare p as select 1", "declare c cursor for select 1", "set work_mem = '1MB'", "begin"])(
    "%s",
    (text) => {
      expect(whyNotAsked({ statement: text }, seen(text))?.code).toBe("never_judged");
    },
  );

  test("what plants code, within a session; outside, it can", () => {
    const text = "create trigger t before insert on orders for each row execute function recalc()";
    expect(why(text)).toContain("leaves code behind");
    expect(whyNotAsked({ statement: text }, seen(text), "outside")).toBeUndefined();
    expect(whyNotAsked({ statement: "begin" }, seen("begin"), "outside")?.code).toBe("never_judged");
  });

  test("too much of it", () => {
    expect(why(`select '${"x".repeat(maxAskedBytes)}'`)).toContain("bytes");
    expect(why("select $1", ["x".repeat(maxAskedBytes)])).toContain("bytes");
    const tables = Array.from({ length: 101 }, (_, index) => `t${index}`);
    expect(why(`select 1 from ${tables.join(", ")}`)).toContain("relations");
    expect(why(`select 1 from ${tables.slice(1).join(", ")}`)).toBeUndefined();
    expect(why("delete from orders")).toBeUndefined();
  });
});
