/** What existing native roles can do, as actions: read from the catalogue's access lists, apart from what PUBLIC gives to everybody. */
import { z } from "zod";
import type { ActionName } from "../spec/actions.ts";
import { quoteTexts } from "./quoting.ts";
import { rowsOf, type Server } from "./server.ts";

const Row = z.object({ privilege: z.string(), what: z.string() });

/** Privileges that PostgreSQL knows, and the action that each amounts to. What is not listed says nothing about actions. */
const actionOf: Record<string, ActionName> = {
  select: "sql.select",
  insert: "sql.insert",
  update: "sql.update",
  delete: "sql.delete",
  truncate: "sql.truncate",
  // A trigger is code that others then run.
  trigger: "sql.ddl.create",
  references: "sql.ddl.create",
  maintain: "sql.admin",
  execute: "sql.call",
  create: "sql.ddl.create",
  set: "sql.admin",
  "alter system": "sql.admin",
};

/** Predefined roles that have privileges everywhere without standing in any access list. */
const predefined: Record<string, readonly ActionName[]> = {
  pg_read_all_data: ["sql.select"],
  pg_write_all_data: ["sql.insert", "sql.update", "sql.delete"],
  pg_maintain: ["sql.admin"],
};

export interface NativeAction {
  readonly action: ActionName;
  readonly what: string;
}

/** The actions of these roles and of all they are members of, in the databases that the resource names; the first hundred of each. */
export async function nativeActions(
  server: Server,
  roles: readonly string[],
  signal: AbortSignal,
): Promise<readonly NativeAction[]> {
  const answers = await Promise.all(server.databases.map((database) => server.read(database, sql(roles), signal)));
  return answers.flatMap(([rows]) =>
    rowsOf(Row, rows).flatMap(({ privilege, what }): NativeAction[] => {
      const everywhere = predefined[what];
      if (privilege === "member") return (everywhere ?? []).map((action) => ({ action, what: "every table" }));
      const action = actionOf[privilege];
      return action === undefined ? [] : [{ action, what }];
    }),
  );
}

function sql(roles: readonly string[]): string {
  return `with recursive closure(oid) as (
      select oid from pg_roles where rolname = any(${quoteTexts(roles)})
      union select m.roleid from pg_auth_members m join closure on m.member = closure.oid
    ), acls(what, acl) as (
      select format('%I.%I', n.nspname, c.relname), c.relacl from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relacl is not null and c.relkind <> 'S'
      union all select format('%I.%I', n.nspname, c.relname), a.attacl from pg_attribute a join pg_class c on c.oid = a.attrelid
        join pg_namespace n on n.oid = c.relnamespace where a.attacl is not null
      union all select format('%I.%I', n.nspname, p.proname), p.proacl from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.proacl is not null
      union all select format('schema %I', nspname), nspacl from pg_namespace where nspacl is not null
      union all select format('database %I', datname), datacl from pg_database where datname = current_database() and datacl is not null
      union all select 'setting ' || parname, paracl from pg_parameter_acl where paracl is not null
    ), held as (
      select lower(e.privilege_type) as privilege, acls.what, row_number() over (partition by e.privilege_type order by acls.what) as nth
        from acls cross join lateral aclexplode(acls.acl) e join closure on closure.oid = e.grantee group by 1, 2, e.privilege_type
    )
    select privilege, what from held where nth <= 100
    union all select 'member', rolname::text from pg_roles join closure using (oid) where rolname = any(${quoteTexts(Object.keys(predefined))})`;
}
