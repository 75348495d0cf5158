/**
 * What statements are tried on. Inside the grants are a few tables of `public`; everything else bears a canary that tells of any touch: a text that
 * comes back in an answer, an error or a notice; a sequence that moves even where the transaction is rolled back; a state that must not change;
 * a lock. Only superusers may use what lies outside, and the login that is judged is one, so that nothing but the judgement stands before it.
 */
import { groundForWaysRound } from "@cardea/connectors/postgres/fixture/known-ways-round";

/** What one grant gives, as the resource's configuration writes it and as a native login would have it. */
export interface Scope {
  readonly role: string;
  readonly grant: readonly { readonly tables: string[]; readonly privileges: string[] }[];
  /** What of the tables inside may not change either, as columns of one row. */
  readonly fixed: readonly string[];
}

const all = (table: string): string => `(select json_agg(x order by row_to_json(x)::text)::text from ${table} x)`;

/** The narrowest first: the list of known ways round is tried with it. */
export const scopes: readonly [Scope, ...Scope[]] = [
  {
    role: "reads",
    grant: [{ tables: ["public.orders"], privileges: ["select"] }],
    fixed: ["public.orders", "public.people", "public.marked", "public.t1", "public.t2"].map(all),
  },
  {
    role: "columns",
    grant: [
      { tables: ["public.orders", "public.t1", "public.marked"], privileges: ["select"] },
      { tables: ["public.people"], privileges: ["select(id, name)"] },
      { tables: ["public.t2"], privileges: ["select(b, c)"] },
    ],
    fixed: ["public.orders", "public.people", "public.marked", "public.t1", "public.t2"].map(all),
  },
  {
    role: "writes",
    grant: [
      { tables: ["public.orders"], privileges: ["select"] },
      { tables: ["public.t1"], privileges: ["select", "insert", "update", "delete"] },
      { tables: ["public.t2"], privileges: ["select(b, c)", "insert(b, c)", "update(c)"] },
    ],
    fixed: [
      ...["public.orders", "public.people", "public.marked"].map(all),
      "(select json_agg(json_build_array(b, d) order by b) from public.t2 where d is not null)",
    ],
  },
];

/** Tables that every grant has something of; a lock on any other relation of the database betrays a touch. */
const insideTables = ["public.orders", "public.people", "public.marked", "public.t1", "public.t2"] as const;
const touchedBy: Readonly<Record<string, readonly string[]>> = {
  reads: ["public.orders"],
  columns: insideTables,
  writes: ["public.orders", "public.t1", "public.t2"],
};

export function tablesOf(scope: Scope): readonly string[] {
  return touchedBy[scope.role] ?? [];
}

export interface Canaries {
  /** Stands in data outside the grants and in no statement. */
  readonly text: string;
  /** A password hash. */
  readonly hash: string;
  /** A file that the server can read; it begins with the text. */
  readonly file: string;
}

/** Makes everything, as a superuser, in a fresh database. */
export function groundSql({ text, hash, file }: Canaries, admin: string): string {
  return `
  drop table orders, payments cascade;
  ${groundForWaysRound.replaceAll("'CANARY'", `'${text}'`)}
  insert into private.secrets select '${text}' from generate_series(1, 20);
  create sequence private.touched;
  create function private.betray() returns void language plpgsql as $$ begin
    perform pg_catalog.nextval('private.touched');
    raise notice '%', (select canary from private.secrets limit 1);
  end $$;
  create or replace function public.helper_reader() returns text language plpgsql as 'begin perform private.betray(); return 1; end';
  create or replace function public.helper_definer() returns text language plpgsql immutable security definer as 'begin perform private.betray(); return 1; end';
  create or replace function public.helper_of_row(public.orders) returns text language plpgsql as 'begin perform private.betray(); return 1; end';
  create or replace function public.helper_operator(int, int) returns boolean language plpgsql immutable as 'begin perform private.betray(); return true; end';
  create or replace function public.helper_check(text) returns boolean language plpgsql as 'begin perform private.betray(); return true; end';
  create or replace function public.helper_step(int, int) returns int language plpgsql as 'begin perform private.betray(); return 1; end';
  create or replace procedure public.helper_procedure() language plpgsql as 'begin perform private.betray(); end';

  -- The same names elsewhere, and familiar names that mean something else for other types. A name is judged by the worst that it can stand for,
  -- so operators that every statement uses stand where only another search path finds them.
  create table private.orders (id int primary key, note text);
  insert into private.orders values (1, '${text}');
  create function private.lower(text) returns text language plpgsql as 'begin perform private.betray(); return 1; end';
  create function public.upper(varchar) returns text language plpgsql immutable as 'begin perform private.betray(); return 1; end';
  create function public.length(varchar) returns int language plpgsql stable as 'begin perform private.betray(); return 1; end';
  create function private.text_of(int, text) returns boolean language plpgsql immutable as 'begin perform private.betray(); return true; end';
  create operator private.= (function = private.text_of, leftarg = int, rightarg = text);
  create operator private.<> (function = private.text_of, leftarg = int, rightarg = text);
  create operator private.< (function = private.text_of, leftarg = int, rightarg = text);
  create function private.add_up(text, int) returns text language plpgsql immutable as 'begin perform private.betray(); return 1; end';
  create operator private.+ (function = private.add_up, leftarg = text, rightarg = int);
  create operator private.|| (function = private.add_up, leftarg = text, rightarg = int);
  create aggregate private.max(varchar) (sfunc = private.helper_pick, stype = varchar);
  create type public.grade as enum ('a', 'b');
  create function public.graded(public.grade) returns date language plpgsql immutable as 'begin perform private.betray(); return now(); end';
  create cast (public.grade as date) with function public.graded(public.grade) as implicit;
  create table public.marked (id int primary key, note text, grade public.grade);
  insert into public.marked values (1, 'one', 'a'), (2, 'two', 'b');
  create function public.as_bytes(public.marked) returns bytea language plpgsql as 'begin perform private.betray(); return null; end';
  create cast (public.marked as bytea) with function public.as_bytes(public.marked) as implicit;
  create view public.everybody as select id, salary from public.people_of_all;

  create table t1 (a int primary key, b int, c int);
  create table t2 (b int primary key, c int, d int);
  create table t3 (c int primary key, d int, e int);
  create view v1 as select t1.a, t2.d from t1 join t2 using (b);
  insert into t1 values (1, 2, 3), (2, 3, 4);
  insert into t2 values (2, 3, 4), (3, 4, 5);
  insert into t3 values (3, 4, 5);

  select lo_from_bytea(4711, '${text}');
  create foreign data wrapper elsewhere;
  create server far foreign data wrapper elsewhere;
  create user mapping for public server far options (password '${text}');
  set client_min_messages = error;
  create subscription heard connection 'host=${text}' publication nothing with (connect = false, slot_name = none, enabled = false);
  reset client_min_messages;
  create role kept_${hash.slice(0, 8)} nologin password 'md5${hash}';
  alter role kept_${hash.slice(0, 8)} set work_mem = '4MB';
  revoke execute on all functions in schema private from public;
  copy (select '${text}') to '${file}';
  analyze private.secrets;
  grant select, insert, update, delete on ${insideTables.join(", ")} to ${admin} with grant option;`
    .replace("create aggregate private.max", `${pick}\n  create aggregate private.max`)
    .replace("create view public.everybody", `${people(text)}\n  create view public.everybody`);
}

const pick = `create function private.helper_pick(varchar, varchar) returns varchar language plpgsql as 'begin perform private.betray(); return 1; end';`;
const people = (text: string): string => `
  create table public.people (id int primary key, name text, salary text);
  insert into public.people values (1, 'one', '${text}'), (2, 'two', '${text}');
  create view public.people_of_all as select * from public.people;`;

/** Native privileges that are exactly the grant's. */
export function narrowGrants(scope: Scope, login: string): string {
  const grants = scope.grant.flatMap(({ tables, privileges }) =>
    privileges.map((privilege) => `grant ${privilege} on ${tables.join(", ")} to ${login};`),
  );
  // What is called what is no secret: every login reads it in the catalog.
  return [...grants, `grant usage on schema private to ${login};`].join("\n");
}

/** One row of everything that no covered statement may change. Names are the catalog's: whoever asks has no other search path. */
export function stateSql(scope: Scope): string {
  const rows = (catalog: string, where = "true", row = "x"): string =>
    `(select md5(string_agg(${row}::text, '|' order by ${row}::text)) from ${catalog} x where ${where})`;
  // Every change of a row gives it another xmin; the thousands that initdb made are not worth more.
  const versions = (catalog: string, where = "true"): string =>
    `(select count(*)::text || ' ' || sum(xmin::text::int8)::text from ${catalog} x where ${where})`;
  const passing = "not starts_with(rolname, 'cardea_') and not starts_with(rolname, 'narrow_')";
  const lasting = (namespace: string): string =>
    `${namespace} not in (select oid from pg_namespace where nspname ~ '^pg_(toast_)?temp_')`;
  const parts = [
    ...scope.fixed,
    "(select last_value::text || is_called::text from private.touched)",
    "(select last_value::text || is_called::text from public.counter)",
    all("private.secrets"),
    all("private.orders"),
    all("public.t3"),
    rows("pg_class", `oid >= 16384 and ${lasting("relnamespace")}`),
    versions("pg_class", "oid < 16384"),
    versions("pg_type", lasting("typnamespace")),
    ...["pg_proc", "pg_operator", "pg_cast", "pg_trigger", "pg_policy", "pg_extension"].map((catalog) =>
      versions(catalog),
    ),
    ...["pg_language", "pg_event_trigger", "pg_publication", "pg_foreign_server", "pg_user_mapping"].map((catalog) =>
      versions(catalog),
    ),
    ...["pg_default_acl", "pg_shdescription", "pg_seclabel", "pg_tablespace"].map((catalog) => versions(catalog)),
    ...["pg_statistic_ext", "pg_largeobject_metadata", "pg_statistic", "pg_subscription"].map((catalog) =>
      versions(catalog),
    ),
    versions(
      "pg_rewrite",
      "ev_class in (select oid from pg_class where oid >= 16384 and " + lasting("relnamespace") + ")",
    ),
    versions("pg_namespace", "nspname !~ '^pg_(toast_)?temp_'"),
    versions("pg_description", "objoid >= 16384"),
    rows("pg_largeobject"),
    rows("pg_database", "true", "row(datname, datdba, datacl, datallowconn, datconnlimit)"),
    rows("pg_db_role_setting"),
    rows("pg_authid", passing),
    rows(
      "pg_auth_members",
      `member in (select oid from pg_roles where ${passing}) and roleid in (select oid from pg_roles where ${passing})`,
    ),
    rows("pg_prepared_xacts"),
    rows("pg_replication_slots", "true", "slot_name"),
    rows("pg_file_settings"),
    "pg_conf_load_time()::text",
    "(select stats_reset::text from pg_stat_database where datname = current_database())",
    "(select count(*)::text from pg_stat_activity where application_name = 'witness')",
    "pg_is_in_recovery()::text",
  ];
  return `select json_build_array(${parts.join(",\n")})::text as state`;
}

/** Relations outside, and their indexes, that `$1` has locked. `$2`: the tables inside. */
export const locksSql = `
  select distinct l.relation::regclass::text || ' ' || l.mode as lock
  from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
  where l.pid = $1 and l.locktype = 'relation' and l.database = (select oid from pg_database where datname = current_database())
    and n.nspname in ('public', 'private')
    and not (c.oid = any ($2::regclass[]) or c.oid in (select indexrelid from pg_index where indrelid = any ($2::regclass[])))
  order by 1`;
