/**
 * Whether a native role may be given to a direct key, whose holder speaks to the server without Cardea in between. On PostgreSQL 15 a
 * member can become the role itself (`SET ROLE`) and leave things behind in its name; from 16 on membership is given without that, but
 * still inherits what the role may do as an owner. So on both: a role, and whatever it is a member of in turn, that cannot log in, has no
 * attributes, owns nothing, can create nowhere, can admit nobody, and can reach nothing outside the databases that the resource names:
 * a login is the whole server's, so what its roles may do in any other database it may do too, and nobody approved that.
 */
import { z } from "zod";
import type { Admin } from "./admin.ts";
import { nameList } from "./missing.ts";
import { quoteTexts } from "./quoting.ts";
import type { Rows } from "./connection.ts";
import { rowsOf, type Server } from "./server.ts";

/**
 * Why no predefined role may be given. None is harmless: each works in every database or on the server itself, and what others grant
 * to one leaves no trace in the shared catalogue that `elsewhere` is read from. One that is not here is newer than we know.
 */
const predefined: ReadonlyMap<string, string> = new Map([
  ["pg_checkpoint", "which can slow down the whole server"],
  ["pg_create_subscription", "which makes the server connect to others"],
  ["pg_database_owner", "which owns things in every database"],
  ["pg_execute_server_program", "which runs programs on the server's host"],
  ["pg_maintain", "which locks and rewrites tables of every database"],
  ["pg_monitor", "which sees what everybody runs in every database"],
  ["pg_read_all_data", "which reads every table of every database"],
  ["pg_read_all_settings", "which reads settings that can hold passwords"],
  ["pg_read_all_stats", "which sees what everybody runs in every database"],
  ["pg_read_server_files", "which reads files of the server's host"],
  ["pg_signal_autovacuum_worker", "which stops the server's own upkeep"],
  ["pg_signal_backend", "which ends sessions of others"],
  ["pg_stat_scan_tables", "which locks and scans tables of every database"],
  ["pg_use_reserved_connections", "which takes the connections that are kept for administrators"],
  ["pg_write_all_data", "which changes every table of every database"],
  ["pg_write_server_files", "which writes files of the server's host"],
]);

/** One role of those that were asked about, and one that it can act as (itself among them). */
const Reach = z.object({
  role: z.string(),
  reached: z.string(),
  canLogin: z.boolean(),
  attributes: z.array(z.string()),
  admits: z.array(z.string()),
  owns: z.array(z.string()),
  creates: z.array(z.string()),
  /** Databases that the resource does not name. */
  elsewhere: z.array(z.string()),
  parameters: z.array(z.string()),
});

const Onward = z.object({ role: z.string(), what: z.string() });

type Flaw = "login" | "attribute" | "predefined" | "admits" | "owns" | "create" | "elsewhere" | "parameter" | "onward";

const words: Record<Flaw, (names: readonly string[]) => string> = {
  login: (names) => `${nameList(names)} can log in`,
  attribute: (names) => `it has the attributes ${nameList(names)}`,
  predefined: (names) =>
    names
      .map((name) => `it is a member of \`${name}\`, ${predefined.get(name) ?? "which is newer than Cardea knows"}`)
      .join("; "),
  admits: (names) => `it can admit members to ${nameList(names)}`,
  owns: (names) => `it owns ${nameList(names)}`,
  create: (names) => `it can create in ${nameList(names)}`,
  elsewhere: (names) =>
    names.length === 1
      ? `it has privileges in database ${nameList(names)}: list that database or take them away`
      : `it has privileges in databases ${nameList(names)}: list those databases or take them away`,
  parameter: (names) => `it can set the server's parameters ${nameList(names)}`,
  onward: (names) => `it can grant on ${nameList(names)}`,
};

/** Gathers what speaks against roles, from as many answers as there are databases. */
export class RoleFlaws {
  readonly #found = new Map<string, Map<Flaw, Set<string>>>();

  /** Takes the answer to `reachSql`. */
  addReach(rows: Rows | undefined): void {
    for (const row of rowsOf(Reach, rows)) {
      const { role, reached, canLogin, attributes, admits, owns, creates, elsewhere, parameters } = row;
      this.#add(role, "login", canLogin ? [reached] : []);
      this.#add(role, "attribute", attributes);
      this.#add(role, "predefined", reached.startsWith("pg_") ? [reached] : []);
      this.#add(role, "admits", admits);
      this.#add(role, "owns", owns);
      this.#add(role, "create", creates);
      this.#add(role, "elsewhere", elsewhere);
      this.#add(role, "parameter", parameters);
    }
  }

  /** Takes the answer to `onwardSql`. */
  addOnward(rows: Rows | undefined): void {
    for (const { role, what } of rowsOf(Onward, rows)) this.#add(role, "onward", [what]);
  }

  /** Why each of the roles may not be given to a direct key; a role that is not among them may. */
  inWords(): ReadonlyMap<string, string> {
    return new Map(
      [...this.#found].map(([role, flaws]) => [
        role,
        [...flaws].map(([flaw, what]) => words[flaw]([...what])).join("; "),
      ]),
    );
  }

  #add(role: string, flaw: Flaw, what: readonly string[]): void {
    if (what.length === 0) return;
    const flaws = this.#found.get(role) ?? new Map<Flaw, Set<string>>();
    this.#found.set(role, flaws.set(flaw, new Set([...(flaws.get(flaw) ?? []), ...what])));
  }
}

/**
 * What the roles can act as, and what those are and own and may do: in the first database everything that the shared catalogues know
 * too, of databases that the resource does not name among it; in the others only what they add. One statement, because planning is most of its cost, and it runs for every key.
 *
 * What PUBLIC may create, everybody may. From 16 on that belongs to the key's own login, which its end takes care of; on 15 a member
 * can make it belong to the role.
 */
export function reachSql(
  roles: readonly string[],
  admin: Pick<Admin, "grantOptions">,
  server: Pick<Server, "home" | "databases">,
  database: string,
): string {
  const publicToo = admin.grantOptions ? "and not has_schema_privilege('public', n.oid, 'create')" : "";
  const schemas = `array(select 'schema ' || n.nspname || ' of ' || current_database() from pg_namespace n
      where n.nspname !~ '^pg_(toast|temp)' and has_schema_privilege(c.oid, n.oid, 'create') ${publicToo})`;
  if (database !== server.home) {
    return `${closureSql(roles)} select c.role, c.role as reached, false as "canLogin", '{}'::text[] as attributes, '{}'::text[] as admits,
      '{}'::text[] as owns, ${schemas} as creates, '{}'::text[] as elsewhere, '{}'::text[] as parameters from closure c`;
  }
  return `${closureSql(roles)} select c.role, r.rolname::text as reached, r.rolcanlogin as "canLogin",
      array_remove(array[case when r.rolsuper then 'superuser' end, case when r.rolcreaterole then 'createrole' end,
        case when r.rolcreatedb then 'createdb' end, case when r.rolreplication then 'replication' end,
        case when r.rolbypassrls then 'bypassrls' end], null) as attributes,
      array(select m.roleid::regrole::text from pg_auth_members m where m.member = c.oid and m.admin_option) as admits,
      array(select case when d.dbid in (0, (select oid from pg_database where datname = current_database()))
                   then coalesce(pg_describe_object(d.classid, d.objid, d.objsubid), 'something')
                   else 'something in ' || (select datname from pg_database where oid = d.dbid) end
              from pg_shdepend d where d.refclassid = 'pg_authid'::regclass and d.refobjid = c.oid and d.deptype = 'o' limit 20) as owns,
      array(select 'database ' || datname from pg_database db where has_database_privilege(c.oid, db.oid, 'create'))
        || array(select 'tablespace ' || spcname from pg_tablespace t where has_tablespace_privilege(c.oid, t.oid, 'create'))
        || ${schemas} as creates,
      ${elsewhereSql(server.databases)} as elsewhere,
      array(select p.parname from pg_parameter_acl p, aclexplode(p.paracl) e where e.grantee = c.oid) as parameters
    from closure c join pg_roles r on r.oid = c.oid`;
}

/**
 * Databases that are not listed in which a role of `closure c` has privileges: in an access list of something there (`a`; `i`: one that
 * an extension set; default privileges among them), as an owner, or on the database itself where PUBLIC lacks the privilege.
 */
function elsewhereSql(listed: readonly string[]): string {
  return `array(select db.datname::text from pg_database db where db.datname <> all(${quoteTexts(listed)}) and (
        exists (select from pg_shdepend d where d.refclassid = 'pg_authid'::regclass and d.refobjid = c.oid and d.dbid = db.oid
          and d.deptype in ('a', 'i', 'o'))
        or exists (select from aclexplode(db.datacl) e where e.grantee = c.oid
          and not has_database_privilege('public', db.oid, e.privilege_type))) order by db.datname limit 20)`;
}

/** Privileges within one database that the roles can hand on to others, who would keep them. Slower: for registration only. */
function onwardSql(roles: readonly string[]): string {
  return `${closureSql(roles)}, acls(what, acl) as (
      select n.nspname || '.' || c.relname, c.relacl from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relacl is not null
      union all select n.nspname || '.' || c.relname, a.attacl from pg_attribute a join pg_class c on c.oid = a.attrelid
        join pg_namespace n on n.oid = c.relnamespace where a.attacl is not null
      union all select n.nspname || '.' || p.proname, p.proacl from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.proacl is not null
      union all select nspname::text, nspacl from pg_namespace where nspacl is not null
      union all select datname::text, datacl from pg_database where datacl is not null
    )
    select c.role, acls.what from acls cross join lateral aclexplode(acls.acl) e join closure c on c.oid = e.grantee
     where e.is_grantable group by 1, 2 limit 200`;
}

/** Every role that each of the roles can act as, itself included. */
function closureSql(roles: readonly string[]): string {
  return `with recursive closure(role, oid) as (
      select rolname::text, oid from pg_roles where rolname = any(${quoteTexts(roles)})
      union select c.role, m.roleid from pg_auth_members m join closure c on m.member = c.oid
    )`;
}

/** All flaws of native roles in the databases that the resource names, for registration. */
export async function inspectFlaws(
  server: Server,
  admin: Admin,
  roles: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  if (roles.length === 0) return new Map();
  const flaws = new RoleFlaws();
  await Promise.all(
    server.databases.map(async (database) => {
      const sql = `${reachSql(roles, admin, server, database)};\n${onwardSql(roles)}`;
      const [reach, onward] = await server.read(database, sql, signal);
      flaws.addReach(reach);
      flaws.addOnward(onward);
    }),
  );
  return flaws.inWords();
}
