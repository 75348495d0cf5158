/**
 * Runs one approved statement outside a session: with a login that is made for it and has nothing but what the statement needs, once.
 *
 *  1. Sign in as the login, take the role of definitions where it needs that, and look: what the names stand for must still be what was approved.
 *  2. `begin`, note the transaction's id, and have that made durable. A crash from here on leaves a trace that `outcomeOf` can follow.
 *  3. The statement's own bytes, and its answer up to a bound.
 *  4. Look again. The statement holds its locks by now, so what it ran on can no longer change; where it had changed in between, it is rolled back.
 *  5. `commit`. Only if the connection is lost here can the outcome be in doubt.
 *
 * What the server does not run inside a transaction has no trace: after a loss nobody knows what came of it.
 */
import { z } from "zod";
import { CardeaError, OutsideError } from "@cardea/core/contract/errors";
import { actionText } from "@cardea/core/documents/request";
import type { Clock } from "@cardea/core/lib/clock";
import { maxResultBytes } from "@cardea/core/wire/delivery";
import type { ActionOrder, ActionOutcome, CreatedLogin } from "../../connector.ts";
import { flushed, traceSql } from "../spec/trace.ts";
import { arrayText, type AskServer } from "../spec/statement/resolve.ts";
import type { SessionContext } from "../spec/statement/statement.ts";
import type { Admin } from "./admin.ts";
import { timeLimits, type Connection } from "./connection.ts";
import type { ExactAnswer } from "./exact-statement.ts";
import { ServerFault } from "./faults.ts";
import type { SqlAction } from "./loan.ts";
import { askBy, look, readingOf, settingsOf, valuesOf } from "./look.ts";
import type { Loan } from "./membership.ts";
import { outcomeOf } from "./outcome.ts";
import { quoteIdent } from "./quoting.ts";
import { rowsOf, type Server } from "./server.ts";

export interface RunContext {
  readonly server: Server;
  readonly admin: Admin;
  readonly clock: Clock;
}

/** One run under way. */
interface Run {
  readonly context: RunContext;
  readonly connection: Connection;
  readonly order: ActionOrder;
  readonly sql: SqlAction;
  /** Looks whether the names still stand for what was approved. */
  readonly check: () => Promise<void>;
  readonly ask: AskServer;
  readonly started: (trace: string | undefined) => Promise<void>;
  readonly signal: AbortSignal;
}

/** The longest `statement_timeout`, and the longest timer. */
const longestMs = 2 ** 31 - 1;
/** How much longer than the server we wait for its answer. */
const graceMs = 2_000;
/** A commit is not given up for a signal's sake. */
const commitMs = 15_000;

/** @throws CardeaError, OutsideError: it did not happen */
export async function run(
  context: RunContext,
  order: ActionOrder,
  sql: SqlAction,
  loan: Loan,
  login: CreatedLogin,
  started: Run["started"],
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { what, binding } = sql;
  const statementMs = Math.min(Math.max(order.notAfterMs - context.clock.now(), 1), longestMs - graceMs);
  const connection = await context.server.open(
    {
      database: what.database,
      login,
      settings: settingsOf(binding),
      limits: { ...timeLimits, statementMs, lockMs: statementMs },
    },
    signal,
  );
  try {
    if (loan.kind === "owner") await connection.run(`set role ${quoteIdent(loan.role)}`, "read", signal);
    const ask = askBy(connection, signal);
    const reading = await readingOf(what, login.user, ask);
    const check = (): Promise<void> => checkBinding(order, sql, reading, ask);
    await check();
    const going: Run = { context, connection, order, sql, check, ask, started, signal };
    return await (binding.transaction === "may" ? inTransaction(going) : byItself(going));
  } finally {
    await connection.close();
  }
}

async function checkBinding(
  { action }: ActionOrder,
  { what }: SqlAction,
  reading: Omit<SessionContext, "catalog">,
  ask: AskServer,
): Promise<void> {
  const now = await look(what, reading, ask);
  if (actionText(now.action) !== actionText(action))
    throw new CardeaError(
      "binding_changed",
      "what the statement's names stand for is not what was approved: it did not run",
    );
}

async function inTransaction(run: Run): Promise<ActionOutcome> {
  const { context, connection, sql, check, ask, started, signal } = run;
  const trace = await begin(run);
  await started(trace);
  let answer: ExactAnswer;
  try {
    answer = await send(run, "read", signal);
  } catch (error) {
    // Nothing was committed, whatever it was.
    return failedBy(error);
  }
  if (!sql.binding.ddl) await check();
  const done: ActionOutcome = { outcome: "done", ...(await resultOf(answer, ask)) };
  if (signal.aborted) throw new OutsideError("cancelled", "none", "cancelled before it was committed");
  try {
    const { tag } = await connection.send({ text: "commit", values: [] }, "change", AbortSignal.timeout(commitMs));
    // A transaction that had failed without saying so is rolled back by `commit`.
    return tag === "COMMIT" ? done : { outcome: "failed", error: { code: "40000", message: "it was rolled back" } };
  } catch (error) {
    if (error instanceof OutsideError && error.effect === "none") return failedBy(error);
    const outcome = await outcomeOf(context.server, trace, AbortSignal.timeout(commitMs)).catch(
      () => "unknown" as const,
    );
    return outcome === "done" ? done : { outcome, error: lost };
  }
}

const lost = { code: "08006", message: "the connection was lost while it was committed" };

/** Begins the transaction and answers its trace, which is on the server's disk by then. */
async function begin({ connection, context: { server, admin }, signal }: Run): Promise<string> {
  const version = Math.floor(admin.version / 10_000);
  const answers = await connection.run(`begin; select ${traceSql(version)} as trace`, "read", signal);
  const [row] = rowsOf(z.object({ trace: z.string() }), answers.at(-1));
  if (row === undefined) throw new TypeError("the server gave no transaction id");
  if (version >= 17) return row.trace;
  // A durable commit flushes everything before it.
  await server.change(server.home, "select pg_logical_emit_message(true, 'cardea', ''::text)", signal);
  return flushed(row.trace);
}

async function byItself(run: Run): Promise<ActionOutcome> {
  const { context, connection, ask, started, signal } = run;
  const [[pid] = []] = await ask("select pg_catalog.pg_backend_pid()", []);
  await started(undefined);
  // Whoever gives up waiting wants it to stop; what it was then is the server's to say.
  const late = new AbortController();
  const cancel = (): void => {
    const words = `select pg_cancel_backend(${Number(pid)})`;
    context.server.read(context.server.home, words, AbortSignal.timeout(graceMs)).catch(() => undefined);
    setTimeout(() => late.abort(), graceMs).unref();
  };
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  try {
    const answer = await send(run, "change", late.signal);
    return { outcome: "done", ...(await resultOf(answer, askBy(connection, late.signal))) };
  } catch (error) {
    if (error instanceof ServerFault && error.sqlState !== undefined && error.effect === "none") return failedBy(error);
    return { outcome: "unknown", error: { code: "08006", message: "the connection was lost while it ran" } };
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

async function send(
  { connection, order, sql, context }: Run,
  phase: "read" | "change",
  signal: AbortSignal,
): Promise<ExactAnswer> {
  const limitMs = Math.min(Math.max(order.notAfterMs - context.clock.now(), 1) + graceMs, longestMs);
  return connection.send({ text: sql.what.statement, values: valuesOf(sql.what) }, phase, signal, {
    maxBytes: maxResultBytes,
    limitMs,
  });
}

/** What the server said against it; whatever else went wrong is thrown on. */
function failedBy(error: unknown): ActionOutcome {
  if (!(error instanceof ServerFault) || error.sqlState === undefined) throw error;
  return { outcome: "failed", error: { code: error.sqlState, message: error.said ?? error.message } };
}

/** The answer as its requester gets it. */
async function resultOf(
  { fields, rows, tag }: ExactAnswer,
  ask: AskServer,
): Promise<Pick<ActionOutcome, "rows" | "result">> {
  const types = fields.length === 0 ? [] : await typesOf(fields, ask);
  const columns = fields.map(({ name }, index) => ({ name, type: types[index] ?? "" }));
  const result = Buffer.from(JSON.stringify({ columns, rows, command: tag }));
  if (result.length > maxResultBytes)
    throw new CardeaError("result_too_large", `the answer is longer than ${maxResultBytes} bytes: ask for less of it`);
  const counted = /^[A-Z]+ (?:0 )?([0-9]+)$/.exec(tag)?.[1];
  return { ...(counted === undefined ? {} : { rows: Number(counted) }), result };
}

async function typesOf(fields: ExactAnswer["fields"], ask: AskServer): Promise<readonly string[]> {
  const rows = await ask(
    `select pg_catalog.format_type(f.type, nullif(f.modifier, -1))
       from unnest($1::pg_catalog.oid[], $2::pg_catalog.int4[]) with ordinality as f(type, modifier, place) order by f.place`,
    [arrayText(fields.map(({ type }) => String(type))), arrayText(fields.map(({ modifier }) => String(modifier)))],
  );
  return rows.map(([name]) => name ?? "");
}
