import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import type { Pattern } from "@cardea/core/documents/pattern";
import { analyse } from "./analyse.ts";
import type { Catalog, FunctionFact, RelationFact, TypeFact } from "./facts.ts";
import { loadParser, parse } from "./parser.ts";
import type { Analysis, SessionContext, Statement } from "./statement.ts";

beforeAll(loadParser);

const relation = (name: string, columns: string, more: Partial<RelationFact> = {}): RelationFact => ({
  oid: 20_000 + name.length,
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
  relation("orders", "id customer_id status note", { oid: 20_001 }),
  relation("customers", "id name email", { oid: 20_002 }),
  relation("Odd.name", "a", { oid: 20_003 }),
  relation("scratch", "id", { oid: 20_004, schema: "pg_temp_3", temporary: true }),
  relation("pg_class", "oid relname", { oid: 1259, schema: "pg_catalog", system: true, publicSelect: "all" }),
  relation("pg_authid", "oid rolpassword", { oid: 1260, schema: "pg_catalog", system: true }),
  relation("pg_subscription", "oid subname subconninfo", {
    oid: 6100,
    schema: "pg_catalog",
    system: true,
    publicSelect: ["oid", "subname"],
  }),
  relation("pg_settings", "name setting", { oid: 12_001, schema: "pg_catalog", system: true, publicSelect: "all" }),
  relation("pg_stats", "tablename most_common_vals", {
    oid: 12_000,
    schema: "pg_catalog",
    system: true,
    publicSelect: "all",
  }),
  relation("pg_toast_1", "chunk_data", { oid: 20_005, schema: "pg_toast" }),
];

const fact = (name: string, more: Partial<FunctionFact> = {}): FunctionFact => ({
  oid: 30_000,
  schema: "public",
  name,
  kind: "function",
  minArgs: 0,
  maxArgs: 3,
  volatility: "volatile",
  language: "sql",
  definer: false,
  owner: "app",
  system: false,
  ...more,
});
const system = (name: string, volatility: FunctionFact["volatility"]): FunctionFact =>
  fact(name, {
    oid: 2_000 + name.length,
    schema: "pg_catalog",
    language: "internal",
    volatility,
    system: true,
    maxArgs: Infinity,
  });

const functions: readonly FunctionFact[] = [
  system("now", "stable"),
  system("set_config", "volatile"),
  system("lower", "immutable"),
  system("random", "volatile"),
  system("count", "immutable"),
  system("nextval", "volatile"),
  system("query_to_xml", "volatile"),
  system("table_to_xml", "stable"),
  system("pg_read_file", "volatile"),
  system("pg_get_sequence_data", "volatile"),
  system("pg_advisory_lock", "volatile"),
  system("lo_get", "volatile"),
  system("pg_notify", "volatile"),
  fact("recalc"),
  fact("of_row", { oid: 30_001, minArgs: 1, maxArgs: 1 }),
  fact("compiled", { oid: 30_002, language: "c", volatility: "immutable" }),
  fact("pretender", { oid: 30_003, language: "plpgsql", volatility: "immutable" }),
  fact("as_owner", { oid: 30_004, language: "c", volatility: "immutable", definer: true }),
  fact("total", { oid: 30_005, kind: "aggregate", language: "internal", volatility: "immutable" }),
  fact("proc", { oid: 30_006, kind: "procedure" }),
];
const operators: Readonly<Record<string, readonly FunctionFact[]>> = {
  "~~~": [fact("similar", { oid: 30_010, language: "c", volatility: "stable" })],
  "###": [fact("planted", { oid: 30_011 })],
};
const types: Readonly<Record<string, TypeFact>> = {
  checked: {
    oid: 40_000,
    schema: "public",
    name: "checked",
    system: false,
    functions: [fact("check_it", { oid: 30_020 })],
  },
  text: { oid: 25, schema: "pg_catalog", name: "text", system: true, functions: [] },
};

const catalog: Catalog = {
  creationSchema: "public",
  relation: (schema, name) =>
    relations.find((found) => found.name === name && (schema === undefined || found.schema === schema)) ?? "missing",
  functions: (schema, name) =>
    functions.filter((found) => found.name === name && (schema === undefined || found.schema === schema)),
  operators: (_schema, name) => operators[name] ?? [],
  type: (_schema, name) => types[name] ?? "missing",
  typeByOid: (oid) => (oid === 40_000 ? types["checked"] : undefined) ?? "missing",
};

const session: SessionContext = {
  database: "shop",
  login: "key_login",
  serverVersion: 18,
  settings: { standardConformingStrings: "on", clientEncoding: "UTF8", serverEncoding: "UTF8" },
  catalog,
  prepared: () => undefined,
};

function analysed(text: string, context: SessionContext = session): Analysis {
  const parsed = parse(text);
  return parsed.is === "refused" ? parsed : analyse(parsed, context);
}

function statementsOf(text: string): readonly Statement[] {
  const analysis = analysed(text);
  if (analysis.is !== "statements") throw new Error(`${text}: ${JSON.stringify(analysis)}`);
  return analysis.statements;
}

function only(text: string): Statement {
  const [statement, ...others] = statementsOf(text);
  if (statement === undefined || others.length > 0) throw new Error(`${text}: ${others.length + 1} statements`);
  return statement;
}

/** `update orders(status) where`: name, table without `public.`, columns, the flag. */
function short({ name, facets = {} }: Pattern): string {
  expect(facets["databases"]).toEqual({ matcher: "set", values: ["shop"] });
  const list = (key: string): string => {
    const facet = facets[key];
    return facet === undefined || facet.matcher === "flag" ? "" : facet.values.join(" ");
  };
  const columns = list("columns");
  return [
    name.slice("sql.".length),
    list("tables").replace("public.", "") + (columns === "" ? "" : `(${columns})`),
    list("functions").replace("public.", ""),
    facets["requireWhere"] === undefined ? "" : "where",
  ]
    .filter((part) => part !== "")
    .join(" ");
}

const table = (text: string): readonly (readonly [string, string])[] =>
  text
    .trim()
    .split("\n")
    .map((line) => line.split("=>").map((part) => part.trim()))
    .map(([sql = "", atoms = ""]) => [sql, atoms]);

describe("a statement is its atoms", () => {
  test.each(
    table(String.raw`
      select 1 => session
      select now(), lower('A'), random(), count(*) => session
      select * from orders => select orders
      select * from public.orders where id = 7 => select orders where
      select id, status from orders where id = 7 => select orders(id status) where
      select id from orders where true => select orders(id)
      select id from orders where 1 = 1 => select orders(id)
      table orders => select orders
      select o from orders o => select orders
      select count(*) from orders => select orders
      select ctid from orders => select orders
      select name from orders o join customers c on c.id = o.customer_id => select orders(customer_id); select customers(id name)
      select status from orders natural join customers => select orders(id status); select customers(id)
      select status from orders join customers using (id) => select orders(id status); select customers(id)
      select (select name from customers c where c.id = o.customer_id) from orders o => select orders(customer_id); select customers(id name) where
      select l.name from orders o, lateral (select name from customers where id = o.customer_id) l => select orders(customer_id); select customers(id name) where
      with orders as (select id from customers) select id from orders => select customers(id)
      with d as (delete from orders where id = 1 returning id) select id from d => delete orders where; select orders(id) where
      select id from orders union select id from customers => select orders(id); select customers(id)
      values (1), ((select max_id from (select id as max_id from orders) o)) => select orders(id)
      select note as id from orders order by id => select orders(note)
      select id from orders for update => update orders where; select orders(id)
      select a from "Odd.name" => select "Odd.name"(a)
      select 'a'::text, cast(note as text) from orders => select orders(note)
      insert into orders (id, status) values (1, 'x') => insert orders(id status) where
      insert into orders values (1) => insert orders where
      insert into orders default values => insert orders where
      insert into orders (id) select id from customers => insert orders(id) where; select customers(id)
      insert into orders (id) values (1) returning note => insert orders(id) where; select orders(note)
      insert into orders (id) values (1) on conflict (id) do update set note = excluded.note => insert orders(id) where; update orders(note) where; select orders(id note) where
      update orders set status = 'paid' where id = 7 => update orders(status) where; select orders(id) where
      update orders set status = 'paid' => update orders(status)
      update orders set status = 'paid' where true => update orders(status)
      update orders set status = 'paid' where id = id => update orders(status); select orders(id)
      update orders set status = 'paid' where id = 1 or true => update orders(status); select orders(id)
      update orders set status = note where id in (1, 2) and true => update orders(status) where; select orders(id note) where
      update orders o set status = c.name from customers c where c.id = o.customer_id => update orders(status) where; select orders(customer_id) where; select customers(id name) where
      update orders set status = 'x' where current of c => update orders(status) where
      delete from orders => delete orders
      delete from orders where id = 1 => delete orders where; select orders(id) where
      delete from orders using customers => delete orders; select customers
      merge into orders o using customers c on o.customer_id = c.id when matched then delete => delete orders where; select orders(customer_id) where; select customers(id) where
      merge into orders o using customers c on true when not matched by source then delete => delete orders; select customers
      truncate orders => truncate orders
      truncate orders cascade => truncate orders; truncate
      truncate orders restart identity => truncate orders; ddl.alter orders
      lock table orders in access share mode => select orders
      lock table orders => update orders
      copy orders to stdout => select orders
      copy orders (id) to stdout => select orders(id)
      copy orders (id) from stdin => insert orders(id) where
      copy (delete from orders returning id) to stdout => delete orders; select orders(id)
      explain select id from orders => select orders(id)
      explain analyze delete from orders => delete orders
      prepare p as select id from orders => select orders(id)
      declare c cursor with hold for select id from orders => select orders(id)
      select recalc() => call recalc
      select recalc(1, 2, 3, 4) => session
      select o.of_row from orders o => select orders; call of_row
      select (o).of_row from orders o => select orders; call of_row
      select of_row(o) from orders o => select orders; call of_row
      select compiled() => session
      select pretender() => call pretender
      select as_owner() => call as_owner
      select total(id) from orders => select orders(id); call total
      select 1 ### 2 => call planted
      select id from orders where id ### any (array[1]) => select orders(id) where; call planted
      select 'a' ~~~ 'b' => session
      select 'x'::checked => call check_it
      select checked 'x' => call check_it
      call proc() => call proc
      select nextval('s') => call pg_catalog.nextval
      select query_to_xml('select 1', true, true, '') => call pg_catalog.query_to_xml
      select U&"query\005fto\005fxml"('select 1', true, true, '') => call pg_catalog.query_to_xml
      select table_to_xml('orders', true, true, '') => call pg_catalog.table_to_xml
      select pg_read_file('x') => call pg_catalog.pg_read_file
      select * from pg_get_sequence_data('x') => select
      select pg_advisory_lock(1) => call pg_catalog.pg_advisory_lock
      select lo_get(1) => call pg_catalog.lo_get
      notify c, 'x' => call pg_catalog.pg_notify
      listen c => admin
      select relname from pg_class => session
      select subname from pg_subscription => session
      select subconninfo from pg_subscription => select pg_catalog.pg_subscription(subconninfo)
      select * from pg_authid => select pg_catalog.pg_authid
      select most_common_vals from pg_stats => select pg_catalog.pg_stats(most_common_vals)
      select id from scratch => session
      create table fresh (id int default recalc()) => ddl.create fresh; call recalc
      create table fresh (like orders) => select orders; ddl.create fresh
      create table fresh (o int references orders) => ddl.create fresh; ddl.alter orders
      create table other.fresh as select id from orders => select orders(id); ddl.create other.fresh
      select id into fresh from orders => select orders(id); ddl.create fresh
      create temp table fresh (id int) => ddl.create pg_temp.fresh
      create view fresh as select id from orders => select orders(id); ddl.create fresh
      create index on orders (lower(note)) => ddl.create orders
      create schema fresh => ddl.create
      create schema fresh create table t (id int) => ddl.create t; ddl.create
      create function f() returns int language sql as 'select 1' => ddl.create
      create trigger t before insert on orders for each row execute function recalc() => ddl.create orders
      alter table orders add column x int => ddl.alter orders
      alter table orders rename to gone => ddl.alter orders; ddl.create gone
      alter table orders set schema other => ddl.alter orders; ddl.create other.orders
      alter table orders drop column note cascade => ddl.alter orders; ddl.alter
      alter table if exists missing add column x int => ddl.alter missing
      comment on column orders.note is 'x' => ddl.alter orders
      vacuum orders => ddl.alter orders
      vacuum => ddl.alter
      drop table orders => ddl.drop orders
      drop table orders cascade => ddl.drop orders; ddl.drop
      drop function recalc() => ddl.drop
      drop schema other => ddl.drop
      grant select on orders to public => grant orders
      grant app to other => grant
      create role x => admin
      alter role x superuser => admin
      drop owned by x => admin
      alter system set work_mem = '1GB' => admin
      create extension dblink => admin
      checkpoint => admin
      load 'x' => admin
      set work_mem = '4MB' => session
      set custom.tenant = '7' => admin
      set search_path = a, b => session
      select set_config('search_path', '', false) => session
      select pg_catalog.set_config(name, 'view, foreign-table', false) from pg_catalog.pg_settings where name = 'restrict_nonsystem_relation_kind' => session
      select set_config('timezone', $1, false) => session
      select current_setting('jit') as cur, set_config('jit', 'off', false) as new => session
      select set_config('search_path', 'x', false), recalc() => call recalc
      begin isolation level serializable => session
      rollback to savepoint a => session
      show all => session
      discard all => session
      set constraints all deferred => session
      fetch 5 from c => session
      deallocate all => session
      unlisten * => session
    `),
  )("%s", (sql, atoms) => {
    expect(only(sql).atoms.map(short).sort()).toEqual(atoms.split("; ").sort());
  });

  test("a parameter of a type that runs code is a call", () => {
    const analysis = analysed("select $1", { ...session, parameterTypes: [0, 23, 40_000] });
    const [statement] = analysis.is === "statements" ? analysis.statements : [];
    expect(statement?.atoms.map(short)).toEqual(["call check_it"]);
    expect(statement?.parameters).toBe(1);
  });

  test.each([
    ["select count(*) from orders", ["id", "customer_id", "status", "note"]],
    ["select 1 from orders for update", ["id", "customer_id", "status", "note"]],
    ["select * from orders", undefined],
    ["select o from orders o", undefined],
    ["delete from orders", undefined],
  ])("%s: whether one column would do", (sql, columns) => {
    const { atoms, anyColumn } = only(sql);
    expect(atoms.map((atom) => anyColumn.get(atom))[0]).toEqual(columns);
  });

  test("is never without one", () => {
    expect(analysed("")).toEqual({ is: "statements", statements: [] });
    expect(statementsOf("select 1; begin").every(({ atoms }) => atoms.length > 0)).toBe(true);
  });

  test.each([
    ["copy orders to stdout", ["copy.out orders"]],
    ["copy orders (id) from stdin", ["copy.in orders(id) where"]],
    ["copy (select 1) to stdout", ["copy.out"]],
    ["merge into orders o using customers c on o.id = c.id when matched then delete", ["merge orders where"]],
    ["select id from orders", []],
  ])("%s goes by another name as well", (sql, aspects) => {
    expect(only(sql).aspects.map(short)).toEqual(aspects);
  });
});

describe("refused", () => {
  test.each(
    table(String.raw`
      copy orders to '/tmp/x' => never_judged
      copy orders from program 'id' => never_judged
      do $$ begin delete from orders; end $$ => never_judged
      set role postgres => never_judged
      set session authorization x => never_judged
      set standard_conforming_strings = off => never_judged
      set client_encoding = 'LATIN1' => never_judged
      set names 'LATIN1' => never_judged
      set session_replication_role = replica => never_judged
      set session_preload_libraries = 'x' => never_judged
      select set_config('role', 'postgres', false) => never_judged
      select set_config(note, 'x', false) from orders => never_judged
      select set_config('search' || '_path', 'x', false) => never_judged
      select 1, lower(set_config('search_path', 'x', false)) => never_judged
      select set_config('search_path', $1, false) => never_judged
      select set_config('datestyle', $1, $2) => never_judged
      select set_config('role', $1, false) => never_judged
      select set_config($1, 'x', false) => never_judged
      select set_config('datestyle', note, false) from orders => never_judged
      select set_config(name, 'x', false) from pg_settings => never_judged
      select set_config(name, 'x', false) from pg_settings where name <> 'role' => never_judged
      select set_config(name, 'x', false), 1 from pg_settings where name = 'role' => never_judged
      select set_config('search_path', 'x', false) from orders => never_judged
      prepare transaction 'x' => never_judged
      commit prepared 'x' => never_judged
      alter role current_user set search_path = x => never_judged
      alter user key_login password 'x' => never_judged
      select * from pg_toast.pg_toast_1 => never_judged
      set search_path = x; select * from orders => never_judged
      discard all; select * from orders => never_judged
      create temp table t (id int); select * from orders => never_judged
      with x as (select 1 into y) select 1 => never_judged
      insert into orders select 1 into y => never_judged
      execute nobody => missing_statement
      create table fresh as execute p => never_judged
      select * from missing => missing_name
      select * from other_database.public.orders => missing_name
      select 1 where => syntax_error
    `),
  )("%s", (sql, code) => {
    expect(analysed(sql)).toMatchObject({ is: "refused", code });
  });

  test.each([
    ["set standard_conforming_strings = on"],
    ["set client_encoding = 'UTF8'"],
    ["set role none"],
    ["reset role"],
    ["reset session authorization"],
  ])("but not what keeps things as they are: %s", (sql) => {
    expect(only(sql).atoms.map(short)).toEqual(["session"]);
  });

  test.each([
    ["standardConformingStrings", "off"],
    ["clientEncoding", "SJIS"],
  ])("every text of a session with %s = %s", (name, value) => {
    const context = { ...session, settings: { ...session.settings, [name]: value } };
    expect(analysed("select 1", context)).toMatchObject({ is: "refused", code: "unpinned" });
  });

  test("names beyond ASCII where the database folds them by other rules", () => {
    const context = { ...session, settings: { ...session.settings, serverEncoding: "LATIN1" } };
    expect(analysed('select "ż"', context)).toMatchObject({ is: "refused", code: "unpinned" });
    expect(analysed("select 1", context).is).toBe("statements");
  });

  test.each([14, 19])("servers that the grammar is not made for: %i", (serverVersion) => {
    expect(analysed("select 1", { ...session, serverVersion })).toMatchObject({ is: "refused", code: "unpinned" });
  });

  test.each([
    ["select json_value(note, '$') from orders", 17],
    ["select json_array(1, 2)", 16],
    ["select system_user", 16],
    ["select json_scalar(1)", 17],
  ])("%s before %i, where it would call a function of that name", (sql, since) => {
    expect(analysed(sql, { ...session, serverVersion: since - 1 })).toMatchObject({
      is: "refused",
      code: "unknown_form",
    });
    expect(analysed(sql, { ...session, serverVersion: since }).is).toBe("statements");
  });
});

describe("held as one statement", () => {
  test.each([
    "update orders set status = 'paid' where id = 7",
    "with d as (delete from orders returning id) select * from d",
    "copy orders from stdin",
    "create table fresh (id int)",
    "alter table orders add column x int",
    "truncate orders",
    "call proc()",
    "explain analyze delete from orders",
  ])("may be: %s", (sql) => {
    expect(only(sql).hold).toEqual({ is: "may" });
  });

  test.each([
    "prepare p as delete from orders",
    "declare c cursor for select id from orders",
    "create function f() returns int language sql as 'select 1'",
    "create trigger t before insert on orders for each row execute function recalc()",
    "create rule r as on insert to orders do also delete from customers",
    "create temp table t (id int)",
    "explain declare c cursor for select 1",
    "set work_mem = '1MB'",
    "begin",
  ])("never: %s", (sql) => {
    expect(only(sql).hold).toMatchObject({ is: "never" });
  });

  test("never: one of several", () => {
    expect(statementsOf("delete from orders; delete from customers").map(({ hold }) => hold.is)).toEqual([
      "never",
      "never",
    ]);
  });

  test("an executed statement is what was prepared, and not held either", () => {
    const prepared = only("prepare p as delete from orders").inner;
    const analysis = analysed("execute p", { ...session, prepared: (name) => (name === "p" ? prepared : undefined) });
    const [statement] = analysis.is === "statements" ? analysis.statements : [];
    expect(statement?.atoms.map(short)).toEqual(["delete orders"]);
    expect(statement?.hold).toMatchObject({ is: "never" });
  });
});

describe("what it leaves in the session", () => {
  test.each([
    ["set search_path = a, b", { is: "setting", name: "search_path", value: ["a", "b"], scope: "session" }],
    ["set local timezone = 'UTC'", { is: "setting", name: "timezone", value: ["UTC"], scope: "transaction" }],
    ["reset timezone", { is: "setting", name: "timezone", value: undefined, scope: "session" }],
    [
      "select set_config('search_path', 'a, b', true)",
      { is: "setting", name: "search_path", value: ["a", "b"], scope: "transaction" },
    ],
    ["reset all", { is: "settings reset" }],
    ["discard temp", { is: "discard", what: "temporary" }],
    ["prepare p as select 1", { is: "prepare", name: "p" }],
    ["deallocate p", { is: "deallocate", name: "p" }],
    ["deallocate all", { is: "deallocate", name: undefined }],
    ["declare c cursor with hold for select 1", { is: "cursor", step: "open", name: "c", withHold: true }],
    ["declare c cursor for select 1", { is: "cursor", step: "open", name: "c", withHold: false }],
    ["commit and chain", { is: "transaction", step: "commit", chain: true }],
    ["abort", { is: "transaction", step: "rollback", chain: false }],
    ["create temp table t (id int)", { is: "temporary table" }],
    ["create table pg_temp.t (id int)", { is: "temporary table" }],
    ["alter table orders add x int", { is: "definitions" }],
    ["select pg_advisory_lock(1)", { is: "advisory lock" }],
    ["select lo_get(1)", { is: "large object" }],
    ["listen c", { is: "listen", channel: "c" }],
    ["notify c", { is: "notify", channel: "c" }],
    ["copy orders to stdout", { is: "copy", direction: "out" }],
  ])("%s", (sql, effect) => {
    expect(only(sql).effects).toContainEqual(effect);
  });

  test("a plain query leaves nothing", () => {
    expect(only("select * from orders").effects).toEqual([]);
  });
});

describe("whatever it is given", () => {
  const words =
    `select from where orders o customers id status note = 1 , ( ) * . insert into values update set delete using with x as returning
    on conflict do merge when matched then union all join natural lateral order by group for copy to stdout explain analyze prepare
    recalc() now() $1 'a' ::text ### case end and or not in exists array[ ] create table drop cascade set_config( 'search_path' null ; begin`
      .trim()
      .split(/\s+/);

  test("it answers with a refusal or with atoms, and never fails", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...words), { maxLength: 25 }), (parts) => {
        const analysis = analysed(parts.join(" "));
        if (analysis.is === "statements")
          for (const { atoms } of analysis.statements) expect(atoms.length).toBeGreaterThan(0);
        else expect(analysis).toMatchObject({ is: "refused" });
      }),
      { numRuns: 5_000 },
    );
  });

  test("it refuses nothing for a fact that is only lacking", () => {
    const text = "select set_config('jit', 'off', false)";
    const lacking: Catalog = { ...catalog, functions: () => "unknown" };
    expect(analysed(text, { ...session, catalog: lacking })).toEqual({
      is: "unresolved",
      names: [{ is: "function", name: "set_config" }],
    });
  });

  test("it asks for every fact that it lacks, and only for those", () => {
    const nothing: Catalog = {
      creationSchema: undefined,
      relation: () => "unknown",
      functions: () => "unknown",
      operators: () => "unknown",
      type: () => "unknown",
      typeByOid: () => "unknown",
    };
    expect(
      analysed("select recalc(id) ### 1, 'a'::checked from public.orders", { ...session, catalog: nothing }),
    ).toEqual({
      is: "unresolved",
      names: [
        { is: "relation", schema: "public", name: "orders" },
        { is: "operator", name: "###" },
        { is: "function", name: "recalc" },
        { is: "type", name: "checked" },
      ],
    });
  });
});
