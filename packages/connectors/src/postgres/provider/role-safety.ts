/**
 * Whether a native role may be given to a direct key, whose holder speaks to the server without Cardea in between. On PostgreSQL 15 a
 * member can become the role itself (`SET ROLE`) and leave things behind in its name; from 16 on membership is given without that, but
 * still inherits what the role may do as an owner. So on both: a role, and whatever it is a member of in turn, that cannot log in, has no
 * attributes, owns nothing, can create nowhere, can admit nobody, and can reach nothing outside the database.
 */
import { z } from "zod";
import type { Admin } from "./admin.ts";
import { nameList } from "./missing.ts";
import { quoteTexts } from "./quoting.ts";
import { rowsOf, type Server } from "./server.ts";

/** Predefined roles whose members reach the server's files, programs and other sessions. */
const powerful = [
  "pg_execute_server_program",
  "pg_read_server_files",
  "pg_write_server_files",
  "pg_signal_backend",
  "pg_signal_autovacuum_worker",
  "pg_checkpoint",
  "pg_maintain",
  "pg_create_subscription",
  "pg_use_reserved_connections",
  "pg_database_owner",
];

const Row = z.object({
  role: z.string(),
  flaw: z.enum(["login", "attribute", "powerful", "admits", "owns", "create", "onward"]),
  what: z.string(),
});
export type RoleFlaw = z.infer<typeof Row>;

const words: Record<RoleFlaw["flaw"], (names: string) => string> = {
  login: (names) => `${names} can log in`,
  attribute: (names) => `it has the attributes ${names}`,
  powerful: (names) => `it is a member of ${names}`,
  admits: (names) => `it can admit members to ${names}`,
  owns: (names) => `it owns ${names}`,
  create: (names) => `it can create in ${names}`,
  onward: (names) => `it can grant on ${names}`,
};

/** Why each of the roles may not be given to a direct key; a role that is not among them may. */
export function flawsInWords(flaws: readonly RoleFlaw[]): ReadonlyMap<string, string> {
  const byRole = new Map<string, Map<RoleFlaw["flaw"], string[]>>();
  for (const { role, flaw, what } of flaws) {
    const ofRole = byRole.get(role) ?? new Map<RoleFlaw["flaw"], string[]>();
    byRole.set(role, ofRole.set(flaw, [...(ofRole.get(flaw) ?? []), what]));
  }
  return new Map(
    [...byRole].map(([role, ofRole]) => [
      role,
      [...ofRole].map(([flaw, what]) => words[flaw](nameList([...new Set(what)]))).join("; "),
    ]),
  );
}

export function readFlaws(rows: readonly unknown[] | undefined): readonly RoleFlaw[] {
  return rowsOf(Row, rows);
}

/** Flaws that the shared catalogues know, from whatever database. `thorough` false leaves out what only registration looks at. */
export function sharedFlawsSql(roles: readonly string[]): string {
  return `${closureSql(roles)}
    select role, 'login' as flaw, rolname::text as what from closure where rolcanlogin
    union all select role, 'attribute', a.name from closure, lateral (values (rolsuper, 'superuser'), (rolcreaterole, 'createrole'), (rolcreatedb, 'createdb'),
      (rolreplication, 'replication'), (rolbypassrls, 'bypassrls')) as a(has, name) where a.has
    union all select role, 'powerful', rolname::text from closure where rolname = any(${quoteTexts(powerful)})
    union all select c.role, 'admits', m.roleid::regrole::text from closure c join pg_auth_members m on m.member = c.oid and m.admin_option
    union all select c.role, 'owns', coalesce(case when d.dbid in (0, here.oid) then pg_describe_object(d.classid, d.objid, d.objsubid) end, 'something in ' || db.datname, 'something')
      from closure c join lateral (
        select * from pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = c.oid and deptype = 'o' limit 20) d on true
      join pg_database here on here.datname = current_database() left join pg_database db on db.oid = d.dbid
    union all select c.role, 'create', 'database ' || db.datname from closure c, pg_database db where has_database_privilege(c.oid, db.oid, 'create')
    union all select c.role, 'create', 'tablespace ' || t.spcname from closure c, pg_tablespace t where has_tablespace_privilege(c.oid, t.oid, 'create')`;
}

/**
 * Flaws within one database. What PUBLIC may create, everybody may; from 16 on it would belong to the key's own login, which its end
 * takes care of, but on 15 it can be made to belong to the role.
 */
export function databaseFlawsSql(roles: readonly string[], admin: Pick<Admin, "grantOptions">): string {
  const publicToo = admin.grantOptions ? "and not has_schema_privilege('public', n.oid, 'create')" : "";
  return `${closureSql(roles)}
    select c.role, 'create' as flaw, 'schema ' || n.nspname || ' of ' || current_database() as what from closure c, pg_namespace n
     where n.nspname !~ '^pg_(toast|temp)' and has_schema_privilege(c.oid, n.oid, 'create') ${publicToo}`;
}

/** Privileges within one database that the roles can hand on to others, who would keep them. Slower: for registration only. */
function onwardFlawsSql(roles: readonly string[]): string {
  return `${closureSql(roles)}, acls(what, acl) as (
      select n.nspname || '.' || c.relname, c.relacl from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relacl is not null
      union all select n.nspname || '.' || c.relname, a.attacl from pg_attribute a join pg_class c on c.oid = a.attrelid
        join pg_namespace n on n.oid = c.relnamespace where a.attacl is not null
      union all select n.nspname || '.' || p.proname, p.proacl from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.proacl is not null
      union all select nspname::text, nspacl from pg_namespace where nspacl is not null
      union all select datname::text, datacl from pg_database where datacl is not null
    )
    select c.role, 'onward' as flaw, acls.what from acls cross join lateral aclexplode(acls.acl) e join closure c on c.oid = e.grantee
     where e.is_grantable group by 1, 2, 3 limit 200`;
}

/** Every role that each of the roles can act as, itself included. */
function closureSql(roles: readonly string[]): string {
  return `with recursive reached(role, oid) as (
      select rolname::text, oid from pg_roles where rolname = any(${quoteTexts(roles)})
      union select r.role, m.roleid from pg_auth_members m join reached r on m.member = r.oid
    ), closure as (
      select reached.role, pg_roles.* from reached join pg_roles on pg_roles.oid = reached.oid
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
  const answers = await Promise.all([
    server.read(server.home, sharedFlawsSql(roles), signal),
    ...server.databases.map((database) =>
      server.read(database, `${databaseFlawsSql(roles, admin)};\n${onwardFlawsSql(roles)}`, signal),
    ),
  ]);
  return flawsInWords(answers.flat().flatMap((rows) => [...readFlaws(rows)]));
}
