/**
 * What a statement is and touches, before anybody approves it: looked up by the administrator in a transaction that only reads and is rolled back.
 * The statement itself never runs, nor anything that a user has written.
 */
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Action } from "@cardea/core/documents/request";
import type { Preview } from "../../connector.ts";
import type { PostgresConfig } from "../spec/config.ts";
import { parseTableName } from "../spec/table-name.ts";
import { SqlWhat } from "../spec/statement/action.ts";
import type { AskServer } from "../spec/statement/resolve.ts";
import type { SessionContext, Statement } from "../spec/statement/statement.ts";
import type { Admin } from "./admin.ts";
import type { Connection } from "./connection.ts";
import { loanOf, readAction } from "./loan.ts";
import { askBy, look, pathText, readingOf, valuesOf, type Looked } from "./look.ts";
import type { Loan } from "./membership.ts";
import type { Server } from "./server.ts";

export interface PreviewContext {
  readonly server: Server;
  readonly admin: Admin;
  readonly config: PostgresConfig;
  readonly markKey: Uint8Array;
}

/** @throws CardeaError `invalid_request`, `action_refused`; OutsideError */
export async function preview(
  context: PreviewContext,
  { type, what: given }: Pick<Action, "type" | "what">,
  signal: AbortSignal,
): Promise<Preview> {
  const { server, config } = context;
  const what = readWhat(type, given);
  if (!config.connect.databases.includes(what.database)) {
    const offered = config.connect.databases.map((one) => `\`${one}\``).join(", ");
    throw new CardeaError("action_refused", `there is no database \`${what.database}\` here: name one of ${offered}`);
  }
  // A search path of the server's, or of the database's, is that of a run too.
  const connection = await server.open({ database: what.database, settings: { search_path: undefined } }, signal);
  try {
    await connection.run("begin transaction read only", "read", signal);
    const looked = await lookAsLogin(context, what, askBy(connection, signal));
    refuseForRun(what, looked.statement);
    const rows = await estimate(connection, what, looked, signal);
    return { action: looked.action, ...(rows === undefined ? {} : { estimate: { rows } }) };
  } finally {
    await connection.close();
  }
}

function readWhat(type: string, given: Action["what"]): SqlWhat {
  if (type !== "sql")
    throw new CardeaError("action_refused", `the resource knows no actions of the type \`${type}\`, only \`sql\``);
  const what = SqlWhat.safeParse(given);
  if (what.success) return what.data;
  const pointers = what.error.issues.map(({ path, message }) => ({ path: ["what", ...path].join("."), message }));
  throw new CardeaError("invalid_request", "the action is malformed: it has `database`, `statement` and `params`", {
    pointers,
  });
}

const Setting = z.tuple([z.string(), z.string()]);

/** Settings that somebody gave to the administrator alone, with what a new login has in their place. */
const ownSettingsSql = `
select s.name, coalesce((
    select pg_catalog.substr(c, pg_catalog.length(s.name) operator(pg_catalog.+) 2)
    from pg_catalog.pg_db_role_setting as d cross join lateral pg_catalog.unnest(d.setconfig) as c
    where d.setrole operator(pg_catalog.=) 0 and pg_catalog.starts_with(c, pg_catalog.concat(s.name, '='))
      and d.setdatabase operator(pg_catalog.=) any (array[0, (select oid from pg_catalog.pg_database where datname operator(pg_catalog.=) pg_catalog.current_database())])
    order by d.setdatabase desc limit 1), s.boot_val)
  from pg_catalog.pg_settings as s
 where s.source operator(pg_catalog.=) any ('{user,database user}'::pg_catalog.text[]) and s.context operator(pg_catalog.=) 'user' and s.boot_val is not null`;

const Schema = z.tuple([z.string(), z.enum(["t", "f"]), z.enum(["t", "f"])]);

/**
 * Looks as the run's login will: with the settings that every login has, and with those schemas of the search path that everybody may use, or the run by what is lent to it. Which these are
 * follows from what the statement touches, which is looked up with all of them first.
 */
async function lookAsLogin({ admin, config, markKey }: PreviewContext, what: SqlWhat, ask: AskServer): Promise<Looked> {
  for (const row of await ask(ownSettingsSql, [])) await setLocally(Setting.parse(row), ask);
  const reading = await readingOf(what, admin.user, ask);
  const rows = await ask(
    `select n.nspname, pg_catalog.has_schema_privilege('public', n.oid, 'usage'), pg_catalog.has_schema_privilege($1, n.oid, 'usage')
       from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality as p(name, place)
       join pg_catalog.pg_namespace as n on n.nspname operator(pg_catalog.=) p.name
      where n.nspname operator(pg_catalog.<>) current_user order by p.place`,
    [config.ddl?.as ?? admin.user],
  );
  const path = rows.map((row) => Schema.parse(row));
  const first = await lookUnder(
    path.map(([name]) => name),
    what,
    reading,
    ask,
  );
  const loan = loanOf(config, markKey, readAction(first.action));
  const lent = schemasOf(loan);
  const usable = path.filter(([name, everybody, owner]) =>
    loan.kind === "owner" ? owner === "t" : everybody === "t" || lent.has(name),
  );
  if (usable.length === path.length) return first;
  const second = await lookUnder(
    usable.map(([name]) => name),
    what,
    reading,
    ask,
  );
  loanOf(config, markKey, readAction(second.action));
  return second;
}

async function lookUnder(
  path: readonly string[],
  what: SqlWhat,
  reading: Omit<SessionContext, "catalog">,
  ask: AskServer,
): Promise<Looked> {
  await setLocally(["search_path", pathText(path)], ask);
  return look(what, reading, ask);
}

async function setLocally([name, value]: readonly [string, string], ask: AskServer): Promise<void> {
  await ask("select pg_catalog.set_config($1, $2, true)", [name, value]);
}

function schemasOf(loan: Loan): ReadonlySet<string> {
  const tables = loan.kind === "bundle" ? loan.bundle.grants.flatMap((grant) => grant.tables) : [];
  return new Set(tables.map((table) => parseTableName(table)?.schema ?? ""));
}

/** What a session can do and a run by itself cannot. */
function refuseForRun({ params = [] }: SqlWhat, { effects, parameters }: Statement): void {
  if (effects.some(({ is }) => is === "copy")) {
    throw new CardeaError(
      "action_refused",
      "`copy` moves data over a session: write it as `insert` or `select`, or run it in a session, where it waits for its approval",
    );
  }
  if (params.length !== parameters)
    throw new CardeaError("invalid_request", `the statement has ${parameters} parameters, ${params.length} were given`);
}

const explainable: ReadonlySet<string> = new Set(["select", "insert", "update", "delete", "merge"]);
const estimateMs = 1_000;
const estimateLockMs = 200;

interface Plan {
  readonly "Node Type": string;
  readonly "Plan Rows": number;
  readonly "Parent Relationship"?: string | undefined;
  readonly Plans?: readonly Plan[] | undefined;
}
const Plan: z.ZodType<Plan> = z.object({
  "Node Type": z.string(),
  "Plan Rows": z.number(),
  "Parent Relationship": z.string().optional(),
  get Plans() {
    return z.array(Plan).optional();
  },
});
const Explained = z.tuple([z.object({ Plan })]);

/** How many rows the planner expects; `undefined` where planning could run code of users', or where it fails. */
async function estimate(
  connection: Connection,
  what: SqlWhat,
  looked: Looked,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (!explainable.has(looked.statement.kind) || canRunCode(looked)) return undefined;
  try {
    await connection.run(
      `set local statement_timeout = ${estimateMs}; set local lock_timeout = ${estimateLockMs}`,
      "read",
      signal,
    );
    const { rows } = await connection.send(
      { text: `explain (format json) ${what.statement}`, values: valuesOf(what) },
      "read",
      signal,
    );
    const [{ Plan: plan }] = Explained.parse(JSON.parse(rows[0]?.[0] ?? ""));
    return rowsOf(plan);
  } catch {
    // It is there to help, not to decide.
    return undefined;
  }
}

/** A plan is made with what constants come to, so that functions are called; a foreign table's server is asked. */
function canRunCode({ action, statement: { functions, binds } }: Looked): boolean {
  const { binding } = readAction(action);
  return (
    functions.length > 0 ||
    binding.functions.length > 0 ||
    binds.types.some((type) => type.functions.length > 0) ||
    binds.relations.some(({ kind }) => kind === "f") ||
    binding.relations.some(({ reaches }) => reaches.some(({ is }) => is !== "view" && is !== "foreign key"))
  );
}

/** Of a change: the rows that it is given. */
function rowsOf(plan: Plan): number {
  const source =
    plan["Node Type"] === "ModifyTable" ? plan.Plans?.find((one) => one["Parent Relationship"] === "Outer") : undefined;
  return Math.round((source ?? plan)["Plan Rows"]);
}
