/**
 * Bundles: native roles that hold one set of privileges each, so that a key is given by one membership. (Granting each key its own
 * privileges on every table made 164 of 320 keys with 8 workers, at tuple errors and deadlocks, and grew `relacl` without bound.)
 *
 * A bundle's name follows from its privileges, and its comment holds them, so a bundle found at the server explains itself. It cannot
 * log in, owns nothing, is never given CREATE on anything, is made once, kept up to date with its patterns, and removed when nobody
 * is a member.
 */
import { z } from "zod";
import { CardeaError, OutsideError } from "@cardea/core/contract/errors";
import type { MissingPrivilege } from "@cardea/core/wire/link";
import { bundleName } from "@cardea/core/contract/native-name";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { privilegeNames, type Grant } from "../spec/privileges.ts";
import type { Admin } from "./admin.ts";
import { grantsIn, grantSql, planSql, PlanRow } from "./bundle-plan.ts";
import type { Connection } from "./connection.ts";
import { revokeAll } from "./bundle-revoke.ts";
import { hasState } from "./faults.ts";
import { missingGrants } from "./missing.ts";
import { quoteIdent, quoteLiteral } from "./quoting.ts";
import { rowsOf, type Server } from "./server.ts";

/**
 * What a bundle is for. What is lent to a session while an approved action runs never comes from the bundle that the session's key has anyway,
 * whose membership would then be taken back with it.
 */
export type BundlePurpose = "role" | "action";

/** A set of privileges and the role that holds it. */
export interface Bundle {
  readonly name: string;
  readonly purpose: BundlePurpose;
  readonly grants: readonly Grant[];
}

/** How the comment of a bundle begins; what it gives follows. */
export const bundleComment: Record<BundlePurpose, string> = {
  role: "Cardea bundle ",
  action: "Cardea bundle of an action ",
};

const Comment = z.array(
  z.strictObject({
    name: z.enum(privilegeNames),
    columns: z.array(z.string()).optional(),
    databases: z.array(z.string()),
    tables: z.array(z.string()),
  }),
);

/** The bundle of these privileges. */
export function bundleOf(markKey: Uint8Array, grants: readonly Grant[], purpose: BundlePurpose = "role"): Bundle {
  const kind = purpose === "role" ? "bundle" : "action";
  return { name: bundleName(markKey, kind, canonicalJson(grants)).name, purpose, grants };
}

/** The bundle that a role found at the server says it is, or `undefined` where its comment and its name do not agree. */
export function readBundle(markKey: Uint8Array, name: string, comment: string | null): Bundle | undefined {
  // The longer beginning first: one is the beginning of the other.
  const purpose = (["action", "role"] as const).find((one) => comment?.startsWith(bundleComment[one]) === true);
  if (comment === null || purpose === undefined) return undefined;
  const grants = parseComment(comment.slice(bundleComment[purpose].length));
  const bundle = grants === undefined ? undefined : bundleOf(markKey, grants, purpose);
  return bundle?.name === name ? bundle : undefined;
}

function parseComment(text: string): readonly Grant[] | undefined {
  try {
    const parsed = Comment.parse(JSON.parse(text));
    return parsed.map(({ columns, ...rest }) => ({ ...rest, ...(columns === undefined ? {} : { columns }) }));
  } catch {
    return undefined;
  }
}

/**
 * Makes the bundle if it is not there and gives it what it lacks, in every database. Committed role first: a crash in between leaves a
 * bundle with too little, which the next call completes.
 * @throws CardeaError `resource_privilege_missing` naming what the administrator cannot give; it is then given nowhere in that database
 */
export async function ensureBundle(server: Server, admin: Admin, bundle: Bundle, signal: AbortSignal): Promise<void> {
  await makeRole(
    server,
    bundle.name,
    "noinherit",
    bundleComment[bundle.purpose] + canonicalJson(bundle.grants),
    signal,
  );
  const databases = server.databases.filter((database) => grantsIn(bundle.grants, database).length > 0);
  for (const database of databases) {
    await server.use(database, signal, (connection) => giveIn(server, connection, admin, bundle, database, signal));
  }
}

/** Makes one of our own roles with its comment, unless it is there. */
export async function makeRole(
  server: Server,
  name: string,
  options: string,
  comment: string,
  signal: AbortSignal,
): Promise<void> {
  const [rows] = await server.read(server.home, `select from pg_roles where rolname = ${quoteLiteral(name)}`, signal);
  if ((rows ?? []).length > 0) return;
  const role = quoteIdent(name);
  try {
    await server.change(
      server.home,
      `create role ${role} nologin ${options}; comment on role ${role} is ${quoteLiteral(comment)}`,
      signal,
    );
  } catch (error) {
    // duplicate_object, or unique_violation where two made it at the same moment: it is there.
    if (!hasState(error, "42710") && !hasState(error, "23505")) throw error;
  }
}

/** Gives the bundle what it lacks in one database, in one transaction that is undone where something cannot be given. */
export async function giveIn(
  server: Server,
  connection: Connection,
  admin: Admin,
  bundle: Bundle,
  database: string,
  signal: AbortSignal,
): Promise<void> {
  const grants = grantsIn(bundle.grants, database);
  // One at a time in each database: grants on the same table by two sessions are an error of the catalogue's ("tuple concurrently updated").
  await connection.run(`begin; select pg_advisory_xact_lock(hashtextextended('cardea/bundles', 0))`, "read", signal);
  try {
    const before = await plan(connection, grants, bundle.name, signal);
    refuseMissing(
      admin,
      grants,
      before.filter((row) => !row.grantable && !absentElsewhere(row, grants, server)),
      database,
    );
    const statements = grantSql(grants, before, bundle.name);
    if (statements.length > 0) await connection.run(statements.join(";\n"), "read", signal);
    // GRANT by who may not give only warns: what counts is what is there afterwards.
    const after = statements.length === 0 ? [] : await plan(connection, grants, bundle.name, signal);
    refuseMissing(
      admin,
      grants,
      after.filter((row) => row.what !== "absent"),
      database,
    );
    await server.changeOn(connection, "commit", signal);
  } catch (error) {
    await connection.rollBack(signal);
    throw error;
  }
}

async function plan(
  connection: Connection,
  grants: readonly Grant[],
  bundle: string,
  signal: AbortSignal,
): Promise<readonly PlanRow[]> {
  const [rows] = await connection.run(planSql(grants, bundle), "read", signal);
  return rowsOf(PlanRow, rows);
}

/** With several databases a table may live in one of them only; inspection says so where it lives in none. */
function absentElsewhere(row: PlanRow, grants: readonly Grant[], server: Server): boolean {
  return row.what === "absent" && (grants[row.grant]?.databases.length ?? server.databases.length) > 1;
}

function refuseMissing(admin: Admin, grants: readonly Grant[], rows: readonly PlanRow[], database: string): void {
  const missing: readonly MissingPrivilege[] = missingGrants(admin, grants, rows, database);
  const [first] = missing;
  if (first === undefined) return;
  throw new CardeaError("resource_privilege_missing", first.what, { extra: { missing } });
}

/**
 * Removes a bundle that nobody is a member of and that owns nothing; answers whether it is gone. The caller sees to it that no key is
 * being made with it meanwhile.
 */
export async function removeBundle(server: Server, name: string, signal: AbortSignal): Promise<boolean> {
  try {
    if (!(await isUnused(server, name, signal))) return false;
    for (const database of await databasesNaming(server, name, "any", signal))
      await revokeAll(server, database, name, signal);
    await server.change(server.home, `drop role ${quoteIdent(name)}`, signal);
    return true;
  } catch (error) {
    if (hasState(error, "42704")) return true;
    // It still stands in privileges that are not ours to take, or something is in the way: it stays, and is looked at again.
    if (error instanceof OutsideError && error.effect === "none" && error.code !== "cancelled") return false;
    throw error;
  }
}

async function isUnused(server: Server, name: string, signal: AbortSignal): Promise<boolean> {
  const [rows] = await server.read(
    server.home,
    `select exists (select from pg_auth_members where roleid = r.oid and member <> (select oid from pg_roles where rolname = current_user) and not admin_option)
         or exists (select from pg_auth_members m join pg_roles l on l.oid = m.roleid
                     where m.member = r.oid and m.admin_option and substr(l.rolname, 18, 7) <> '0000000' and l.rolname like 'cardea\\_%')
         or exists (select from pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = r.oid and deptype = 'o') as used
       from pg_roles r where rolname = ${quoteLiteral(name)}`,
    signal,
  );
  return rowsOf(z.object({ used: z.boolean() }), rows).every((row) => !row.used);
}

/** The databases in which something depends on a role, or belongs to it. What belongs to no database is seen from the first. */
export async function databasesNaming(
  server: Server,
  role: string,
  how: "any" | "owned",
  signal: AbortSignal,
): Promise<readonly string[]> {
  const [rows] = await server.read(
    server.home,
    `select distinct coalesce(datname, current_database())::text as name from pg_shdepend d left join pg_database on pg_database.oid = d.dbid
      where refclassid = 'pg_authid'::regclass and refobjid = (select oid from pg_roles where rolname = ${quoteLiteral(role)})
        and (${how === "any" ? "true" : "deptype = 'o'"}) order by 1`,
    signal,
  );
  return rowsOf(z.object({ name: z.string() }), rows).map((row) => row.name);
}

/** The bundle behind a role of ours, from its comment; `undefined` where it is none or does not say the truth. */
export async function findBundle(
  server: Server,
  markKey: Uint8Array,
  name: string,
  signal: AbortSignal,
): Promise<Bundle | undefined> {
  const [rows] = await server.read(
    server.home,
    `select shobj_description(oid, 'pg_authid') as comment from pg_roles where rolname = ${quoteLiteral(name)}`,
    signal,
  );
  const [row] = rowsOf(z.object({ comment: z.string().nullable() }), rows);
  return readBundle(markKey, name, row?.comment ?? null);
}

/** Makes the administrator a member of one of our own roles, so that it may act for it. */
export function selfGrantSql(admin: Admin, role: string): string {
  return `grant ${quoteIdent(role)} to ${quoteIdent(admin.user)}${admin.grantOptions ? " with inherit true, set true" : ""}`;
}
