/**
 * Ends logins: shut, close, remove. Any number at once for the price of one; a crash between any two steps is met by doing the same again.
 *
 *  1. `settle`: nothing an earlier call began is still under way, so a login that is absent now stays so.
 *  2. Look: what each login is and what it is a member of.
 *  3. Shut, one commit: no login, no password, no membership. From here on nobody enters, and open sessions have lost what they had
 *     through membership (on 15 those that had become the role keep it until they are closed). Privileges that somebody gave to the
 *     login itself go in step 5: they cost a connection to each database.
 *  4. Close sessions until none is left or can come.
 *  5. Remove. Where something still depends on the login, it is moved or taken away first (`owned.ts`).
 *
 * Shutting comes first because a login can still be used while its sessions are closed, and removing last because `DROP ROLE` succeeds
 * under a live session, which then goes on with what PUBLIC may do.
 */
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import { readNativeName } from "@cardea/core/contract/native-name";
import type { Ended } from "../../connector.ts";
import type { Admin } from "./admin.ts";
import { verifierChanged } from "./create.ts";
import { hasState } from "./faults.ts";
import { inNameOf, makerSql, type Makers } from "./makers.ts";
import { nameList } from "./missing.ts";
import { clearBundle, clearLogin } from "./owned.ts";
import { quoteIdent, quoteOids, quoteTexts } from "./quoting.ts";
import { rowsOf, type Server } from "./server.ts";
import { closeSessions, closeSql } from "./sessions.ts";

export interface EndContext {
  readonly server: Server;
  readonly admin: Admin;
  readonly markKey: Uint8Array;
  /** Native roles that the configuration makes keys members of. */
  readonly memberRoles: ReadonlySet<string>;
  /** The native role that definitions run as: lent to a login while an approved one runs, and an owner of things by nature. */
  readonly owner: string | undefined;
  readonly makers: Makers;
}

const Membership = z.object({ role: z.string(), oid: z.number(), grantor: z.string(), revocable: z.boolean() });

const Login = z.object({
  name: z.string(),
  oid: z.number(),
  canLogin: z.boolean(),
  attributes: z.array(z.string()),
  comment: z.string().nullable(),
  verifier: z.string().nullable(),
  settings: z.array(z.string()),
  memberships: z.array(Membership),
  members: z.array(z.string()),
  prepared: z.boolean(),
  /** `undefined`: the administrator made it. */
  maker: z
    .string()
    .nullable()
    .transform((maker) => maker ?? undefined),
});
type Login = z.infer<typeof Login>;

/**
 * Ends all of the logins, or fails as a whole. Names without a login succeed.
 * @throws OutsideError; CardeaError `lease_stuck` naming what is in the way
 */
export async function endLogins(
  context: EndContext,
  names: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Ended>> {
  const { server, admin } = context;
  for (const name of names) {
    const mark = readNativeName(context.markKey, name);
    if (mark.kind !== "ours" || mark.deadlineMs === 0)
      throw new TypeError(`\`${name}\` is not the name of a login of ours`);
  }
  await server.settle(signal);
  const [rows] = await server.read(server.home, lookSql(names, admin), signal);
  const logins = rowsOf(Login, rows).map((login) => ({ ...login, maker: ownMaker(context.markKey, login.maker) }));
  const results = new Map<string, Ended>(names.map((name) => [name, { closedSessions: 0, misuse: [] }]));
  if (logins.length === 0) return results;

  const oids = logins.map((login) => login.oid);
  const first = (
    await server.change(server.home, `begin; ${shutSql(logins, admin)}; commit;\n${closeSql(oids)}`, signal)
  ).at(-1);
  const closed = await closeSessions(server, oids, first, signal);
  const left = await remove(context, logins, signal);
  for (const [maker, made] of byMaker(logins)) context.makers.giveBack(maker, made.length);
  for (const login of logins) {
    results.set(login.name, {
      closedSessions: closed.get(login.oid) ?? 0,
      misuse: [...misuseOf(context, login), ...(left.get(login.name) ?? [])],
    });
  }
  return results;
}

/** Never acts in the name of a role that is not ours. */
function ownMaker(markKey: Uint8Array, maker: string | undefined): string | undefined {
  return maker !== undefined && readNativeName(markKey, maker).kind === "ours" ? maker : undefined;
}

function lookSql(names: readonly string[], admin: Admin): string {
  const revocable = admin.grantOptions
    ? // In this order: the function walks all that the administrator is a member of.
      `(gr.rolname = current_user or coalesce(gr.rolname = ${makerSql("r.oid")}, false)
         or (pg_has_role(m.roleid, 'member with admin option') and pg_has_role(m.grantor, 'usage')))`
    : "not g.rolsuper";
  // From 16 on who made a role is a member of it, without any of its rights.
  const madeIt = admin.grantOptions ? "(m.admin_option and not m.inherit_option and not m.set_option)" : "false";
  return `select r.rolname::text as name, r.oid::int8::float8 as oid, r.rolcanlogin as "canLogin",
      array_remove(array[case when r.rolsuper then 'superuser' end, case when r.rolcreaterole then 'createrole' end,
        case when r.rolcreatedb then 'createdb' end, case when r.rolreplication then 'replication' end,
        case when r.rolbypassrls then 'bypassrls' end], null) as attributes,
      shobj_description(r.oid, 'pg_authid') as comment,
      ${admin.readsVerifiers ? "(select rolpassword from pg_authid a where a.oid = r.oid)" : "null::text"} as verifier,
      array(select split_part(c, '=', 1) from pg_db_role_setting s, unnest(s.setconfig) c where s.setrole = r.oid) as settings,
      (select coalesce(json_agg(json_build_object('role', g.rolname, 'oid', g.oid::int8, 'grantor', gr.rolname,
          'revocable', ${admin.superuser ? "true" : revocable})), '[]')
         from pg_auth_members m join pg_roles g on g.oid = m.roleid join pg_roles gr on gr.oid = m.grantor where m.member = r.oid) as memberships,
      array(select o.rolname::text from pg_auth_members m join pg_roles o on o.oid = m.member
             where m.roleid = r.oid and o.rolname <> current_user and not ${madeIt}) as members,
      exists (select from pg_prepared_xacts x where x.owner = r.rolname) as prepared,
      ${admin.grantOptions ? makerSql("r.oid") : "null::text"} as maker
    from pg_roles r where r.rolname = any(${quoteTexts(names)}) order by r.rolname`;
}

/**
 * In one order for everybody, so that two endings never wait for each other crosswise. A membership that somebody else gave and that is
 * not ours to revoke goes with the login.
 */
function shutSql(logins: readonly Login[], admin: Admin): string {
  return byMaker(logins)
    .map(([maker, made]) =>
      inNameOf(maker, [
        ...made.map(
          ({ name }) =>
            `alter role ${quoteIdent(name)} nologin password null connection limit 0 valid until '-infinity'`,
        ),
        ...revokes(made, maker ?? admin.user, admin),
      ]),
    )
    .join(";\n");
}

/** One statement for each role and grantor, since its cost is by statement. */
function revokes(logins: readonly Login[], acting: string, admin: Admin): readonly string[] {
  const from = new Map<string, string[]>();
  for (const { name, memberships } of logins) {
    for (const { role, grantor, revocable } of memberships) {
      if (!revocable) continue;
      // Other grantors are the administrator's to speak for, not a maker's.
      const by = admin.grantOptions && grantor !== acting ? ` granted by ${quoteIdent(grantor)}` : "";
      // The empty ones sort first, so that nothing in the maker's name follows.
      const key = JSON.stringify([by, role]);
      from.set(key, [...(from.get(key) ?? []), quoteIdent(name)]);
    }
  }
  return [...from]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, names]) => {
      // The key was written above.
      const [by = "", role = ""] = JSON.parse(key) as string[];
      const revoke = `revoke ${quoteIdent(role)} from ${names.join(", ")}${by}`;
      return by === "" ? revoke : `set local role none; ${revoke}`;
    });
}

/** The logins by who made them, in one order. */
function byMaker(logins: readonly Login[]): readonly (readonly [string | undefined, readonly Login[]])[] {
  const groups = new Map<string | undefined, Login[]>();
  for (const login of logins) groups.set(login.maker, [...(groups.get(login.maker) ?? []), login]);
  return [...groups].sort(([a = ""], [b = ""]) => (a < b ? -1 : 1));
}

/** Drops the roles. What they left is cleared only where the server says that something is left; answers it by login. */
async function remove(
  context: EndContext,
  logins: readonly Login[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const { server } = context;
  const left = new Map<string, readonly string[]>();
  const makers = new Map(logins.map(({ name, maker }) => [name, maker]));
  // Dropping would wait for a prepared transaction until the lock's time-out.
  for (const { name, prepared } of logins)
    if (prepared) left.set(name, await clearLogin(context, name, makers.get(name), signal));
  const memberships = logins.flatMap((login) => login.memberships).filter(({ role }) => role !== context.owner);
  const bundles = [...new Map(memberships.map(({ role, oid }) => [role, oid]))];
  let answers: readonly (readonly unknown[])[];
  try {
    answers = await server.change(server.home, dropSql(logins, bundles), signal);
  } catch (error) {
    // 2BP01: something depends on a login; 55P03: a prepared transaction or a session of somebody else's holds it; 42704: another ending was faster.
    if (!hasState(error, "2BP01") && !hasState(error, "55P03") && !hasState(error, "42704")) throw error;
    const [rows] = await server.read(server.home, leftSql(logins), signal);
    for (const { name } of rowsOf(z.object({ name: z.string() }), rows)) {
      left.set(name, [...(left.get(name) ?? []), ...(await clearLogin(context, name, makers.get(name), signal))]);
    }
    answers = await dropAfterClearing(server, logins, bundles, signal);
  }
  const survivors = rowsOf(z.object({ pid: z.int() }), answers.at(-2));
  if (survivors.length > 0)
    await closeSessions(
      server,
      logins.map((login) => login.oid),
      [],
      signal,
    );
  for (const { role, owned } of rowsOf(z.object({ role: z.string(), owned: z.array(z.string()) }), answers.at(-1))) {
    const ours = readNativeName(context.markKey, role).kind === "ours";
    if (ours) await clearBundle(context, role, signal);
    for (const login of logins) {
      if (!login.memberships.some((membership) => membership.role === role)) continue;
      left.set(login.name, [...(left.get(login.name) ?? []), `\`${role}\` was found owning ${nameList(owned)}`]);
    }
  }
  return left;
}

/** Drop, look a last time for sessions, and see whether the roles that the logins were members of own something now. */
function dropSql(logins: readonly Login[], bundles: readonly (readonly [string, number])[]): string {
  const drops = byMaker(logins).map(([maker, made]) =>
    inNameOf(maker, [`drop role if exists ${made.map(({ name }) => quoteIdent(name)).join(", ")}`]),
  );
  return `begin; ${drops.join("; ")}; commit;
    select pid, pg_terminate_backend(pid) from pg_stat_get_activity(null) where usesysid = any(${quoteOids(logins.map(({ oid }) => oid))});
    select r.rolname::text as role, array_agg(distinct coalesce(case when d.dbid in (0, here.oid) then pg_describe_object(d.classid, d.objid, d.objsubid) end,
             'something in ' || db.datname, 'something')) as owned
      from pg_shdepend d join pg_roles r on r.oid = d.refobjid join pg_database here on here.datname = current_database()
      left join pg_database db on db.oid = d.dbid
     where d.refclassid = 'pg_authid'::regclass and d.refobjid = any(${quoteOids(bundles.map(([, oid]) => oid))}) and d.deptype = 'o' group by 1`;
}

/** The logins that something depends on. */
function leftSql(logins: readonly Login[]): string {
  return `select rolname::text as name from pg_roles r where oid = any(${quoteOids(logins.map(({ oid }) => oid))}) and (
      exists (select from pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = r.oid)
      or exists (select from pg_prepared_xacts where owner = r.rolname))`;
}

async function dropAfterClearing(
  server: Server,
  logins: readonly Login[],
  bundles: readonly (readonly [string, number])[],
  signal: AbortSignal,
): Promise<readonly (readonly unknown[])[]> {
  try {
    return await server.change(server.home, dropSql(logins, bundles), signal);
  } catch (error) {
    if (!hasState(error, "2BP01") && !hasState(error, "55P03")) throw error;
    const what = (error.detail ?? error.message).split("\n").slice(0, 10).join("; ");
    throw new CardeaError(
      "lease_stuck",
      `the login cannot be removed: ${what}; take it away from \`${logins.map(({ name }) => name).join("`, `")}\` by hand`,
      {
        cause: error,
      },
    );
  }
}

/** What a login shows of having been altered by its holder or by somebody else. */
function misuseOf(context: EndContext, login: Login): readonly string[] {
  const foreign = login.memberships.filter(
    ({ role }) =>
      !context.memberRoles.has(role) && role !== context.owner && readNativeName(context.markKey, role).kind !== "ours",
  );
  return [
    ...(login.attributes.length > 0 ? [`the login was given the attributes ${nameList(login.attributes)}`] : []),
    ...(login.settings.length > 0 ? [`the login's settings were changed: ${nameList(login.settings)}`] : []),
    ...(verifierChanged(login.comment, login.verifier) ? ["the login's password was changed"] : []),
    ...foreign.map(({ role, grantor }) => `\`${grantor}\` made the login a member of \`${role}\``),
    ...login.members.map((member) => `\`${member}\` was made a member of the login`),
  ];
}
