/**
 * One approved statement's run in the client's own session: the role it needs, what must be unchanged afterwards, and how it went, told to
 * the host exactly once whatever happens.
 */
import type { HeldOutcome, HoldVerdict, SessionEnd } from "../../gateway.ts";
import { transaction, type Words } from "./messages.ts";
import type { Pipeline } from "./pipeline.ts";
import type { ServerSide } from "./server-side.ts";

type Approved = Extract<HoldVerdict, { is: "run" }>;

const cursors = "(select pg_catalog.string_agg(name, ',' order by name) from pg_catalog.pg_cursors)";

export class HeldRun {
  readonly #verdict: Approved;
  readonly #action: number;
  #trace: string | undefined;
  /** Open cursors and the role before it ran. */
  #before: string | undefined;
  #told = false;

  constructor(verdict: Approved, action: number) {
    this.#verdict = verdict;
    this.#action = action;
  }

  /** Notes what must be the same afterwards and takes the role. Words where that cannot be. */
  async prepare(server: ServerSide, pipeline: Pipeline): Promise<Words | undefined> {
    pipeline.recording.watched = { action: this.#action };
    const inTransaction = pipeline.status === transaction.open;
    const xid = inTransaction ? "pg_catalog.pg_current_xact_id()::text" : "null";
    const answer = await server.inner(`select ${cursors}, current_user, ${xid}`);
    if ("error" in answer) return answer.error;
    const [row] = answer.rows;
    this.#before = `${row?.[0] ?? ""}/${row?.[1] ?? ""}`;
    this.#trace = row?.[2] ?? undefined;
    if (this.#verdict.as === undefined) return undefined;
    const role = await server.inner(`set role "${this.#verdict.as.replaceAll('"', '""')}"`);
    return "error" in role ? role.error : undefined;
  }

  /** After its last answer. Why the session has to end, where it has. */
  async finish(server: ServerSide, pipeline: Pipeline): Promise<SessionEnd | undefined> {
    const { watched } = pipeline.recording;
    const changed = await this.#restore(server, pipeline);
    const end = await this.settle({
      outcome: watched?.outcome ?? "failed",
      ...(watched?.rows === undefined ? {} : { rows: watched.rows }),
      ...(watched?.error === undefined ? {} : { error: watched.error }),
    });
    return end ?? changed;
  }

  /** Takes the privilege back. */
  async settle(outcome: HeldOutcome): Promise<SessionEnd | undefined> {
    if (this.#told) return undefined;
    this.#told = true;
    const trace = this.#trace === undefined ? {} : { trace: this.#trace };
    return (await this.#verdict.settle({ ...outcome, ...trace })).end;
  }

  /** The session ends before it was settled. */
  abandon(began: boolean, { recording }: Pipeline): void {
    const error = { code: "57P01", message: "the session ended before it ran" };
    const outcome = began
      ? { outcome: recording.watched?.outcome ?? ("unknown" as const) }
      : { outcome: "failed" as const, error };
    // The session is ending in any case, and the host ends the login with it.
    this.settle(outcome).catch(() => undefined);
  }

  async #restore(server: ServerSide, pipeline: Pipeline): Promise<SessionEnd | undefined> {
    // A failed transaction takes a role set inside it back when it is rolled back, and lets no query of ours through.
    if (pipeline.status === transaction.failed) return undefined;
    if (this.#verdict.as !== undefined && "error" in (await server.inner("reset role")))
      return unsound("its role could not be reset");
    const answer = await server.inner(`select ${cursors}, current_user`);
    if ("error" in answer) return unsound("its state cannot be seen");
    const [row] = answer.rows;
    return `${row?.[0] ?? ""}/${row?.[1] ?? ""}` === this.#before
      ? undefined
      : unsound("it left a cursor or another role behind");
  }
}

function unsound(why: string): SessionEnd {
  return { why: "policy", words: `the session is closed after the approved statement: ${why}` };
}
