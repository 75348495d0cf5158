/**
 * What a set of grants means in one database at this moment: which tables, sequences and schemas the patterns meet, which of them
 * the bundle lacks, and which of those the administrator can give. Used to make bundles, to keep them up to date, and to say at
 * registration what the administrator lacks.
 */
import { z } from "zod";
import type { Grant, PrivilegeName } from "../spec/privileges.ts";
import { parseTableName } from "../spec/table-name.ts";
import { quoteIdent, quoteLiteral, quoteTexts } from "./quoting.ts";

/** One privilege on one object. `lacking`: the bundle does not have it yet. `grantable`: the administrator may give it. */
export const PlanRow = z.object({
  what: z.enum(["table", "sequence", "schema", "database", "absent"]),
  /** Position of the grant that asks for it; -1 where all of them do. */
  grant: z.int(),
  schema: z.string(),
  name: z.string(),
  lacking: z.boolean(),
  grantable: z.boolean(),
});
export type PlanRow = z.infer<typeof PlanRow>;

/** Relations that a pattern meets: tables, partitioned and foreign ones, views, materialised views. */
const relkinds = "('r', 'p', 'f', 'v', 'm')";

/** The grants that concern a database. */
export function grantsIn(grants: readonly Grant[], database: string): readonly Grant[] {
  return grants.filter((grant) => grant.databases.includes(database));
}

/**
 * Lists what of the grants is lacking, and names that meet nothing (`absent`). `bundle` undefined: the bundle does not exist, all of
 * it is lacking. Rows that are granted already are left out.
 */
export function planSql(grants: readonly Grant[], bundle: string | undefined): string {
  const role = bundle === undefined ? undefined : quoteLiteral(bundle);
  const parts = grants.flatMap((grant, index) => [
    tablesSql(grant, index, role),
    ...sequencesSql(grant, index, role),
    absentSql(grant, index),
  ]);
  const schemas = [
    ...new Set(grants.flatMap((grant) => grant.tables.map((table) => parseTableName(table)?.schema ?? ""))),
  ];
  const has = (call: string): string => (role === undefined ? "false" : call);
  parts.push(
    `select 'schema', -1, nspname::text, '', not ${has(`has_schema_privilege(${role ?? ""}, oid, 'usage')`)},
            has_schema_privilege(oid, 'usage with grant option') or has_schema_privilege('public', oid, 'usage')
       from pg_namespace where nspname = any(${quoteTexts(schemas)})`,
    `select 'database', -1, '', datname::text, not ${has(`has_database_privilege(${role ?? ""}, oid, 'connect')`)},
            has_database_privilege(oid, 'connect with grant option') or has_database_privilege('public', oid, 'connect')
       from pg_database where datname = current_database()`,
  );
  return `select * from (${parts.join("\nunion all\n")}) as plan(what, "grant", schema, name, lacking, grantable) where lacking`;
}

/**
 * Counts the tables that the grants meet and whose privileges do not name the bundle at all. Reads dependencies instead of
 * privileges: one index scan, so cheap enough for every key (2,000 tables: about 2 ms).
 */
export function lackingSql(grants: readonly Grant[], bundle: string): string {
  const met = grants.map((grant) => `(${matches(grant)})`).join(" or ");
  return `select count(*)::int as lacking from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ${relkinds} and (${grants.length === 0 ? "false" : met})
      and c.oid not in (
        select objid from pg_shdepend
         where refclassid = 'pg_authid'::regclass and refobjid = (select oid from pg_roles where rolname = ${quoteLiteral(bundle)})
           and classid = 'pg_class'::regclass and deptype = 'a' and dbid = (select oid from pg_database where datname = current_database()))`;
}

/** The statements that give what the plan says is lacking and can be given. */
export function grantSql(grants: readonly Grant[], plan: readonly PlanRow[], bundle: string): readonly string[] {
  const role = quoteIdent(bundle);
  const able = plan.filter((row) => row.grantable);
  const of = (what: PlanRow["what"], index = -1): PlanRow[] =>
    able.filter((row) => row.what === what && row.grant === index);
  const named = (row: PlanRow): string => `${quoteIdent(row.schema)}.${quoteIdent(row.name)}`;
  return [
    ...of("database").map((row) => `grant connect on database ${quoteIdent(row.name)} to ${role}`),
    ...inChunks(
      of("schema"),
      (rows) => `grant usage on schema ${rows.map((row) => quoteIdent(row.schema)).join(", ")} to ${role}`,
    ),
    ...grants.flatMap((grant, index) => [
      ...inChunks(
        of("table", index),
        (rows) => `grant ${privilegeSql(grant)} on table ${rows.map(named).join(", ")} to ${role}`,
      ),
      ...inChunks(of("sequence", index), (rows) => `grant usage on sequence ${rows.map(named).join(", ")} to ${role}`),
    ]),
  ];
}

/** A privilege as `GRANT` takes it. */
export function privilegeSql(grant: Pick<Grant, "name" | "columns">): string {
  return grant.columns === undefined ? grant.name : `${grant.name} (${grant.columns.map(quoteIdent).join(", ")})`;
}

function inChunks(rows: readonly PlanRow[], statement: (rows: readonly PlanRow[]) => string): string[] {
  const statements: string[] = [];
  for (let start = 0; start < rows.length; start += 500) statements.push(statement(rows.slice(start, start + 500)));
  return statements;
}

function tablesSql(grant: Grant, index: number, role: string | undefined): string {
  return `select 'table', ${index}, n.nspname::text, c.relname::text, not ${role === undefined ? "false" : has(grant, grant.name, role)}, ${has(grant, `${grant.name} with grant option`)}
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ${relkinds} and (${matches(grant)})`;
}

/** Asked only of sequences, in whatever order the planner asks: of anything else it is an error. */
function usable(who: string, privilege: string): string {
  return `case when s.relkind = 'S' then coalesce(has_sequence_privilege(${who}s.oid, '${privilege}'), false) else false end`;
}

/**
 * The sequences that give columns their values: those that belong to a column (`serial`) and those of a default `nextval(…)`. Inserting needs them, and so
 * does `update … set a = default` of the columns that may be updated; identity columns need nothing. An update is seldom of that kind, so what the
 * administrator cannot give for it is not missed.
 */
function sequencesSql(grant: Grant, index: number, role: string | undefined): string[] {
  if (grant.name !== "insert" && grant.name !== "update") return [];
  const grantable = usable("", "usage with grant option");
  const wanted = grant.name === "insert" ? "true" : `(${grantable}) and ${columnOf(grant)}`;
  return [
    `select distinct 'sequence', ${index}, sn.nspname::text, s.relname::text, not ${role === undefined ? "false" : usable(`${role}, `, "usage")},
            ${grantable}
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       cross join lateral (
         select d.objid, d.refobjsubid as attnum from pg_depend d where d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid
            and d.classid = 'pg_class'::regclass and d.deptype = 'a'
         union all select d.refobjid, v.adnum from pg_attrdef v join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = v.oid
          where v.adrelid = c.oid and d.refclassid = 'pg_class'::regclass and d.refobjid <> c.oid) as used(oid, attnum)
       join pg_class s on s.oid = used.oid and s.relkind = 'S' join pg_namespace sn on sn.oid = s.relnamespace
      where c.relkind in ${relkinds} and (${matches(grant)}) and ${wanted}`,
  ];
}

function columnOf({ columns }: Grant): string {
  if (columns === undefined) return "true";
  return `(select a.attname from pg_attribute a where a.attrelid = c.oid and a.attnum = used.attnum) = any(${quoteTexts(columns)})`;
}

/** Tables named one by one that are not there, or lack a column. */
function absentSql(grant: Grant, index: number): string {
  const { exact } = split(grant);
  const values = exact.map(({ schema, table }) => `(${quoteLiteral(schema)}, ${quoteLiteral(table)})`).join(", ");
  if (exact.length === 0) return `select 'absent', ${index}, '', '', true, false where false`;
  return `select 'absent', ${index}, named.schema, named.name, true, false from (values ${values}) as named(schema, name)
    where not exists (
      select from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname = named.schema and c.relname = named.name and c.relkind in ${relkinds} and ${columnsExist(grant)})`;
}

/** A condition over the table `c` in the schema `n`. Where columns are named, only tables that have them all are meant. */
function matches(grant: Grant): string {
  const { exact, schemas } = split(grant);
  const names = exact.map(({ schema, table }) => `(${quoteLiteral(schema)}, ${quoteLiteral(table)})`).join(", ");
  const named = exact.length === 0 ? "false" : `(n.nspname, c.relname) in (${names})`;
  const whole = schemas.length === 0 ? "false" : `n.nspname = any(${quoteTexts(schemas)})`;
  return `(${named} or ${whole}) and ${columnsExist(grant)}`;
}

function columnsExist(grant: Grant): string {
  if (grant.columns === undefined) return "true";
  return `(select count(*) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            and a.attname = any(${quoteTexts(grant.columns)})) = ${grant.columns.length}`;
}

/** Whether a role (default: the administrator) has a privilege on the table `c`. */
function has(grant: Grant, privilege: PrivilegeName | `${PrivilegeName} with grant option`, role?: string): string {
  const who = role === undefined ? "" : `${role}, `;
  if (grant.columns === undefined) return `coalesce(has_table_privilege(${who}c.oid, '${privilege}'), false)`;
  // By number, because asking for a column that is not there by its name is an error.
  return `(select coalesce(bool_and(has_column_privilege(${who}c.oid, a.attnum, '${privilege}')), false) from pg_attribute a
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attname = any(${quoteTexts(grant.columns)}))`;
}

function split(grant: Grant): { exact: readonly { schema: string; table: string }[]; schemas: readonly string[] } {
  const names = grant.tables.map(parseTableName).filter((name) => name !== undefined);
  return {
    exact: names.flatMap(({ schema, table }) => (table === undefined ? [] : [{ schema, table }])),
    schemas: names.flatMap(({ schema, table }) => (table === undefined ? [schema] : [])),
  };
}
