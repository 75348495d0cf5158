/**
 * One approved statement's run in the client's own session: the role it needs, the transaction it can be found by after a crash, what must
 * be unchanged afterwards, and how it went, told to the host exactly once whatever happens.
 *
 * Outside a transaction one is opened around what the client sent and ended before the client hears that it is ready, so that the
 * transaction's id is durable before anything can happen. A query of ours in front, within the statement's own implicit transaction, would be
 * simpler, but from 18 on the server leaves that open when a simple query follows.
 */
import type { HeldOutcome, HoldVerdict, SessionEnd } from "../../gateway.ts";
import { formatIdentifier } from "../spec/table-name.ts";
import { traceSql } from "../spec/trace.ts";
import type { InnerAnswer } from "./inner-query.ts";
import { errorResponse, fromServer, message, transaction, type Words } from "./messages.ts";
import type { Pipeline } from "./pipeline.ts";
import type { ServerSide } from "./server-side.ts";
import type { Decision } from "./statement.ts";

type Approved = Extract<HoldVerdict, { is: "run" }>;
type Held = Extract<Decision, { is: "held" }>;

/** Open cursors and the role; then what unqualified names are looked up by. The unnamed portal is that of the statement before, at its end. */
const stateQuery = `
select (select pg_catalog.string_agg(name, ',' order by name) from pg_catalog.pg_cursors where name operator(pg_catalog.<>) ''),
  current_user, pg_catalog.current_schemas(true)`;

interface SessionState {
  readonly cursors: string;
  readonly role: string;
  readonly path: string;
}

export class HeldRun {
  readonly #verdict: Approved;
  readonly #action: number;
  readonly #serverVersion: number;
  #before: SessionState | undefined;
  /** A transaction of ours is around it. */
  #within = false;
  #told = false;

  constructor(verdict: Approved, action: number, serverVersion: number) {
    this.#verdict = verdict;
    this.#action = action;
    this.#serverVersion = serverVersion;
  }

  /** Notes what must be the same afterwards, takes the role, and has the host note that it begins. Words where that cannot be. */
  async prepare(decision: Held, server: ServerSide, pipeline: Pipeline): Promise<Words | undefined> {
    pipeline.recording.watched = { action: this.#action };
    const before = await stateOf(server);
    if ("error" in before) return before.error;
    this.#before = before;
    const problem = await this.#takeRole(before, decision, server);
    if (problem !== undefined) return problem;
    const trace = await this.#trace(decision, server, pipeline);
    if ("error" in trace) return trace.error;
    try {
      await this.#verdict.started(trace.rows[0]?.[0] ?? undefined);
    } catch {
      return notNoted;
    }
    pipeline.withheld = this.#within;
    return undefined;
  }

  /** After its last answer. Why the session has to end, where it has. */
  async finish(server: ServerSide, pipeline: Pipeline): Promise<SessionEnd | undefined> {
    if (this.#within) await this.#endTransaction(server, pipeline);
    const changed = await this.#restore(server, pipeline);
    const { watched } = pipeline.recording;
    pipeline.recording.watched = undefined;
    const end = await this.settle({
      outcome: watched?.outcome ?? "failed",
      ...(watched?.rows === undefined ? {} : { rows: watched.rows }),
      ...(watched?.error === undefined ? {} : { error: watched.error }),
    });
    return end ?? changed;
  }

  /** It did not run after all. Why the session has to end, where it has. */
  async giveUp(problem: Words, server: ServerSide, pipeline: Pipeline): Promise<SessionEnd | undefined> {
    if (this.#within) await server.inner("rollback");
    const reset = pipeline.status === transaction.failed ? undefined : await this.#resetRole(server);
    const { code, message } = problem;
    return (await this.settle({ outcome: "failed", error: { code, message } })) ?? reset;
  }

  /** Takes the privilege back. */
  async settle(outcome: HeldOutcome): Promise<SessionEnd | undefined> {
    if (this.#told) return undefined;
    this.#told = true;
    return (await this.#verdict.settle(outcome)).end;
  }

  /** The session ends before it was settled. `began`: the client's messages have been sent, its last one perhaps not. */
  abandon(began: boolean, pipeline: Pipeline): void {
    // The session is ending in any case, and the host ends the login with it.
    this.settle(began ? lastSeen(pipeline) : { outcome: "failed", error: endedBefore }).catch(() => undefined);
  }

  async #takeRole(before: SessionState, decision: Held, server: ServerSide): Promise<Words | undefined> {
    const { as } = this.#verdict;
    if (as === undefined) return undefined;
    const role = await server.inner(`set role "${as.replaceAll('"', '""')}"`);
    if ("error" in role) return role.error;
    const now = await stateOf(server);
    if ("error" in now) return now.error;
    return now.path === before.path || !decision.looksUp ? undefined : otherNames(as);
  }

  async #trace(decision: Held, server: ServerSide, pipeline: Pipeline): Promise<InnerAnswer> {
    if (pipeline.status !== transaction.open) {
      if (!decision.traceable) return { rows: [] };
      const begun = await server.inner("begin");
      if ("error" in begun) return begun;
      this.#within = true;
    }
    // A standby gives none, and none is needed there.
    const trace = traceSql(this.#serverVersion);
    return server.inner(`select case when pg_catalog.pg_is_in_recovery() then null else ${trace} end`);
  }

  /** Commits what was done, and lets the client know where it stands. */
  async #endTransaction(server: ServerSide, pipeline: Pipeline): Promise<void> {
    const ended = await server.inner(pipeline.status === transaction.failed ? "rollback" : "commit");
    // Without its Sync the client has not asked yet; inside its group the server's own error has reached it.
    const asks = !pipeline.withheld;
    pipeline.withheld = false;
    if ("error" in ended) {
      pipeline.recording.uncommitted(ended.error);
      if (asks) server.inject(errorResponse("ERROR", ended.error));
    }
    // The server ignores everything before that Sync.
    if (pipeline.skipping) await new Promise<void>((synced) => pipeline.quiet(true, synced));
    if (asks) server.inject(message(fromServer.readyForQuery, Uint8Array.of(pipeline.status)));
  }

  async #restore(server: ServerSide, pipeline: Pipeline): Promise<SessionEnd | undefined> {
    // A failed transaction takes a role set inside it back when it is rolled back, and lets no query of ours through.
    if (pipeline.status === transaction.failed) return undefined;
    const reset = await this.#resetRole(server);
    if (reset !== undefined) return reset;
    const after = await stateOf(server);
    if ("error" in after) return unsound("its state cannot be seen");
    return after.cursors === this.#before?.cursors && after.role === this.#before.role
      ? undefined
      : unsound("it left a cursor or another role behind");
  }

  async #resetRole(server: ServerSide): Promise<SessionEnd | undefined> {
    if (this.#verdict.as === undefined || this.#before === undefined) return undefined;
    return "error" in (await server.inner("reset role")) ? unsound("its role could not be reset") : undefined;
  }
}

async function stateOf(server: ServerSide): Promise<SessionState | Extract<InnerAnswer, { error: unknown }>> {
  const answer = await server.inner(stateQuery);
  if ("error" in answer) return answer;
  const [cursors, role, path] = answer.rows[0] ?? [];
  return { cursors: cursors ?? "", role: role ?? "", path: path ?? "" };
}

/** What can be said of a run in the middle of which the connection was lost. */
function lastSeen({ recording: { watched }, status, groupOpen, owed }: Pipeline): HeldOutcome {
  const { outcome, rows, error } = watched ?? {};
  if (outcome === "failed") return { outcome, ...(error === undefined ? {} : { error }) };
  // What is done inside a transaction, an implicit one included, is kept only if that is committed.
  const committed = status === transaction.idle && !groupOpen && owed.size === 0;
  return outcome === "done" && committed
    ? { outcome, ...(rows === undefined ? {} : { rows }) }
    : { outcome: "unknown" };
}

const endedBefore = { code: "57P01", message: "the session ended before it ran" };

const notNoted: Words = {
  code: "58000",
  message: "that it begins could not be noted down: it did not run",
  hint: "try again later; the session goes on",
};

function otherNames(role: string): Words {
  return {
    code: "40001",
    message: `for the role ${formatIdentifier(role)}, which it runs as, its names may stand for something else: it did not run`,
    hint: "write names with their schemas",
  };
}

function unsound(why: string): SessionEnd {
  return { why: "policy", words: `the session is closed after the approved statement: ${why}` };
}
