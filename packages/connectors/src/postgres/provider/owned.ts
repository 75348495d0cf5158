/**
 * What a login left behind: objects, large objects, default privileges, privileges given to it directly, prepared transactions. Nothing of
 * it goes to the administrator: a function with SECURITY DEFINER would then run with the administrator's rights for whoever calls it.
 * Objects go to a holder, a role that cannot log in and has no privileges; functions with SECURITY DEFINER are dropped.
 */
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import { bundleName } from "@cardea/core/contract/native-name";
import type { Admin } from "./admin.ts";
import { databasesNaming, findBundle, giveIn, makeRole, selfGrantSql } from "./bundles.ts";
import { revokeAll } from "./bundle-revoke.ts";
import { hasState } from "./faults.ts";
import { inNameOf } from "./makers.ts";
import { nameList } from "./missing.ts";
import { quoteIdent, quoteLiteral } from "./quoting.ts";
import { rowsOf, type Server } from "./server.ts";

export interface OwnedContext {
  readonly server: Server;
  readonly admin: Admin;
  readonly markKey: Uint8Array;
  readonly memberRoles: ReadonlySet<string>;
}

/** The role that takes what logins leave behind. */
export function holderName(markKey: Uint8Array): string {
  return bundleName(markKey, "holder", "").name;
}

/**
 * Clears everything that depends on a login; answers it in words. Idempotent.
 * @throws CardeaError `lease_stuck` naming what cannot be moved
 */
export async function clearLogin(
  context: OwnedContext,
  login: string,
  maker: string | undefined,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { server } = context;
  const holder = await prepare(context, login, maker, signal);
  const found = [...(await rollBackPrepared(server, login, signal))];
  for (const database of await databasesNaming(server, login, "any", signal)) {
    const things = await inDatabase(database, login, () => ownedIn(server, database, login, signal));
    if (things.length === 0) continue;
    await disarm(server, database, things, signal);
    const move = `reassign owned by ${quoteIdent(login)} to ${quoteIdent(holder)}`;
    await moveOut(
      context,
      database,
      login,
      holder,
      things,
      [move, `drop owned by ${quoteIdent(login)} restrict`],
      signal,
    );
    found.push(...describe(things, database));
  }
  return found;
}

/**
 * Takes from a bundle what it was made to own (on 15 its members can become it). Default privileges go only together with its own
 * privileges, which it is then given again; keys that have it meanwhile miss them for a moment.
 */
export async function clearBundle(context: OwnedContext, bundle: string, signal: AbortSignal): Promise<void> {
  const { server, admin, markKey } = context;
  const holder = await prepare(context, bundle, undefined, signal);
  for (const database of await databasesNaming(server, bundle, "owned", signal)) {
    const owned = async (): Promise<readonly Thing[]> => {
      const things = await inDatabase(database, bundle, () => ownedIn(server, database, bundle, signal));
      return things.filter((thing) => thing.kind === "owned");
    };
    const things = await owned();
    await disarm(server, database, things, signal);
    const move = `reassign owned by ${quoteIdent(bundle)} to ${quoteIdent(holder)}`;
    await moveOut(context, database, bundle, holder, things, [move], signal);
    if ((await owned()).length === 0) continue;
    await revokeAll(server, database, bundle, signal);
    await server.change(database, `drop owned by ${quoteIdent(bundle)} restrict`, signal);
    const known = await findBundle(server, markKey, bundle, signal);
    if (known !== undefined) {
      await server.use(database, signal, (connection) => giveIn(server, connection, admin, known, database, signal));
    }
  }
}

/** Makes the holder, and the administrator a member of both roles: moving needs the rights of both. Answers the holder. */
async function prepare(
  context: OwnedContext,
  role: string,
  maker: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const { server, admin } = context;
  const holder = holderName(context.markKey);
  await makeRole(server, holder, "inherit", "Cardea holder of what ended logins left behind", signal);
  await server.change(
    server.home,
    `begin; ${selfGrantSql(admin, holder)}; ${inNameOf(maker, [selfGrantSql(admin, role)])}; commit`,
    signal,
  );
  return holder;
}

/** A login may have left something in a database that the administrator cannot enter. */
async function inDatabase<T>(database: string, role: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!hasState(error, "42501") && !hasState(error, "55000")) throw error;
    throw new CardeaError(
      "lease_stuck",
      `\`${role}\` left something in the database \`${database}\`, which cannot be entered: ${error.message}`,
      {
        cause: error,
      },
    );
  }
}

/** A transaction that a login prepared outlives its sessions and holds its locks for ever. Only its owner can roll it back. */
async function rollBackPrepared(server: Server, role: string, signal: AbortSignal): Promise<readonly string[]> {
  const [rows] = await server.read(
    server.home,
    `select gid, database::text from pg_prepared_xacts where owner = ${quoteLiteral(role)}`,
    signal,
  );
  const found: string[] = [];
  for (const { gid, database } of rowsOf(z.object({ gid: z.string(), database: z.string() }), rows)) {
    await server.use(database, signal, async (connection) => {
      await connection.run(`set role ${quoteIdent(role)}`, "read", signal);
      try {
        await server.changeOn(connection, `rollback prepared ${quoteLiteral(gid)}`, signal);
      } catch (error) {
        if (!hasState(error, "42704")) throw error;
      } finally {
        // Never lent on as somebody else.
        if (connection.open) await connection.run("reset role", "read", signal).catch(() => connection.destroy());
      }
    });
    found.push(`the login left the prepared transaction \`${gid}\` in \`${database}\``);
  }
  return found;
}

const Thing = z.object({
  what: z.string(),
  kind: z.enum(["owned", "privilege"]),
  /** The name of a function with SECURITY DEFINER, as SQL. */
  definer: z.string().nullable(),
});
type Thing = z.infer<typeof Thing>;

function ownedSql(role: string): string {
  return `select coalesce(pg_describe_object(d.classid, d.objid, d.objsubid), 'something') as what,
      case d.deptype when 'o' then 'owned' else 'privilege' end as kind,
      case when d.deptype = 'o' and p.prosecdef then p.oid::regprocedure::text end as definer
    from pg_shdepend d left join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
   where d.refclassid = 'pg_authid'::regclass and d.refobjid = (select oid from pg_roles where rolname = ${quoteLiteral(role)})
     and d.dbid in (0, (select oid from pg_database where datname = current_database()))
   order by d.classid, d.objid`;
}

async function ownedIn(server: Server, database: string, role: string, signal: AbortSignal): Promise<readonly Thing[]> {
  const [rows] = await server.read(database, ownedSql(role), signal);
  return rowsOf(Thing, rows);
}

async function moveOut(
  context: OwnedContext,
  database: string,
  role: string,
  holder: string,
  things: readonly Thing[],
  statements: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  // Functions and types move only to who may create in their schema: what the configured roles may do is lent to the holder within
  // the transaction, and never seen outside it.
  const lend = [...context.memberRoles].sort().map(quoteIdent).join(", ");
  const to = quoteIdent(holder);
  const attempts = [
    statements,
    ...(lend === "" ? [] : [[`grant ${lend} to ${to}`, ...statements, `revoke ${lend} from ${to}`]]),
  ];
  let refusal: unknown;
  for (const attempt of attempts) {
    try {
      await context.server.change(database, attempt.join("; "), signal);
      return;
    } catch (error) {
      if (!hasState(error, "42501") && !hasState(error, "2BP01") && !hasState(error, "55P03")) throw error;
      refusal = error;
    }
  }
  const why = refusal instanceof Error ? refusal.message : "";
  throw new CardeaError(
    "lease_stuck",
    `${nameList(things.map(({ what }) => what))} cannot be taken from \`${role}\`: ${why}`,
    { cause: refusal },
  );
}

/** Drops functions with SECURITY DEFINER; one that others depend on goes on existing, with its caller's rights. */
async function disarm(server: Server, database: string, things: readonly Thing[], signal: AbortSignal): Promise<void> {
  for (const { definer } of things) {
    if (definer === null) continue;
    try {
      await server.change(database, `drop routine if exists ${definer} restrict`, signal);
    } catch (error) {
      if (!hasState(error, "2BP01")) throw error;
      await server.change(database, `alter routine ${definer} security invoker`, signal);
    }
  }
}

function describe(things: readonly Thing[], database: string): readonly string[] {
  const of = (kind: "owned" | "privilege"): string[] =>
    things.filter((thing) => thing.kind === kind).map(({ what }) => what);
  const owned = of("owned");
  const privileges = of("privilege");
  return [
    ...(owned.length > 0 ? [`it left ${nameList(owned)} in \`${database}\``] : []),
    ...(privileges.length > 0 ? [`it had been given privileges on ${nameList(privileges)} in \`${database}\``] : []),
  ];
}
