/**
 * Takes away everything that a bundle was given in one database, privilege by privilege. (`DROP OWNED BY` does not do for an
 * administrator who owns nothing: it fails on a sequence of which only USAGE may be passed on.)
 */
import { z } from "zod";
import { quoteIdent, quoteLiteral } from "./quoting.ts";
import { rowsOf, type Server } from "./server.ts";

const Held = z.object({
  kind: z.enum(["table", "sequence", "schema", "database"]),
  schema: z.string(),
  name: z.string(),
  column: z.string().nullable(),
  privilege: z.string(),
});
type Held = z.infer<typeof Held>;

/** Privileges of others' making stay, and with them the bundle. */
export async function revokeAll(server: Server, database: string, bundle: string, signal: AbortSignal): Promise<void> {
  const [rows] = await server.read(database, heldSql(bundle), signal);
  const statements = revokeSql(rowsOf(Held, rows), bundle);
  if (statements.length > 0) await server.change(database, statements.join(";\n"), signal);
}

function heldSql(bundle: string): string {
  const grantee = `(select oid from pg_roles where rolname = ${quoteLiteral(bundle)})`;
  const named = (catalogue: string): string =>
    `(select objid from pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = ${grantee} and classid = '${catalogue}'::regclass and deptype = 'a'
        and dbid in (0, (select oid from pg_database where datname = current_database())))`;
  return `select case c.relkind when 'S' then 'sequence' else 'table' end as kind, n.nspname::text as schema, c.relname::text as name,
      null::text as "column", e.privilege_type as privilege
      from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join lateral aclexplode(c.relacl) e
     where c.oid in ${named("pg_class")} and e.grantee = ${grantee}
    union all
    select 'table', n.nspname::text, c.relname::text, a.attname::text, e.privilege_type
      from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid cross join lateral aclexplode(a.attacl) e
     where c.oid in ${named("pg_class")} and e.grantee = ${grantee}
    union all
    select 'schema', nspname::text, '', null, e.privilege_type from pg_namespace n cross join lateral aclexplode(n.nspacl) e
     where n.oid in ${named("pg_namespace")} and e.grantee = ${grantee}
    union all
    select 'database', '', datname::text, null, e.privilege_type from pg_database d cross join lateral aclexplode(d.datacl) e
     where d.oid in ${named("pg_database")} and e.grantee = ${grantee}`;
}

/** One statement for each privilege and kind of object, in lists of at most 500. */
function revokeSql(held: readonly Held[], bundle: string): readonly string[] {
  const lists = new Map<string, string[]>();
  for (const { kind, schema, name, column, privilege } of held) {
    const what = `${privilege}${column === null ? "" : ` (${quoteIdent(column)})`} on ${kind}`;
    const object =
      kind === "schema"
        ? quoteIdent(schema)
        : kind === "database"
          ? quoteIdent(name)
          : `${quoteIdent(schema)}.${quoteIdent(name)}`;
    lists.set(what, [...(lists.get(what) ?? []), object]);
  }
  return [...lists].flatMap(([what, objects]) => {
    const statements: string[] = [];
    for (let start = 0; start < objects.length; start += 500) {
      statements.push(`revoke ${what} ${objects.slice(start, start + 500).join(", ")} from ${quoteIdent(bundle)}`);
    }
    return statements;
  });
}
