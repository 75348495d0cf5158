/**
 * The held statement: what was sent before it is let finish, the host is asked, the client is kept waiting in its own protocol; once
 * approved the very bytes run, alone, and nothing else of the session does until the host has taken the privilege back.
 */
import type { GatewaySession, HoldVerdict, SessionEnd } from "../../gateway.ts";
import { meaningOf } from "../spec/statement/action.ts";
import type { Step } from "./client-side.ts";
import type { Params } from "./held-group.ts";
import { HeldRun } from "./held-run.ts";
import type { Judgements } from "./judgements.ts";
import { fromServer, message, noticeResponse, transaction, type Words } from "./messages.ts";
import type { Pipeline } from "./pipeline.ts";
import type { ServerSide } from "./server-side.ts";
import {
  cannotAsk,
  changedMeanwhile,
  notApproved,
  sentAlone,
  sessionOver,
  transactionFailed,
} from "./refusal-words.ts";
import type { Decision, Statement } from "./statement.ts";

type Held = Extract<Decision, { is: "held" }>;

/** What was decided about the statement that the client waits with. */
export type Ruling =
  | { readonly is: "run"; readonly statement: Statement; readonly action: number; readonly run: HeldRun }
  | { readonly is: "refused"; readonly statement: Statement; readonly words: Words };

export interface HoldHooks {
  /** Ends the session. */
  readonly end: (end: SessionEnd) => void;
  readonly fault: (error: unknown) => void;
}

export interface HoldTerms {
  /** How often a waiting client hears from us. */
  readonly keepAliveMs: number;
  /** The server's major version. */
  readonly serverVersion: number;
}

export class Hold {
  readonly #session: Pick<GatewaySession<unknown>, "hold">;
  readonly #pipeline: Pipeline;
  readonly #judgements: Judgements;
  readonly #server: ServerSide;
  readonly #hooks: HoldHooks;
  readonly #terms: HoldTerms;
  #ruling: Ruling | undefined;
  #waiting: AbortController | undefined;
  #settled: (() => void) | undefined;
  #running: HeldRun | undefined;
  #began = false;
  #stopped = false;

  constructor(
    session: Pick<GatewaySession<unknown>, "hold">,
    pipeline: Pipeline,
    judgements: Judgements,
    server: ServerSide,
    hooks: HoldHooks,
    terms: HoldTerms,
  ) {
    this.#session = session;
    this.#pipeline = pipeline;
    this.#judgements = judgements;
    this.#server = server;
    this.#hooks = hooks;
    this.#terms = terms;
  }

  /** Whether an approved statement runs and nothing else may. */
  get running(): boolean {
    return this.#running !== undefined;
  }

  whenSettled(then: () => void): void {
    if (this.#running === undefined) then();
    else this.#settled = then;
  }

  /**
   * The approved statement, with its judgement of just now. While there is one the client's next messages are those of its group: nothing
   * of them is judged or waited for, since what is asked of the server now would come between the statement and its transaction.
   */
  get approved(): Statement | undefined {
    return this.#ruling?.is === "run" ? this.#ruling.statement : undefined;
  }

  /** What was decided about this statement, if it is the one that was asked about. A refusal is said once. */
  ruling(statement: Statement): Ruling | undefined {
    const ruling = this.#ruling;
    if (ruling === undefined || ruling.statement.text !== statement.text) return undefined;
    if (ruling.is === "refused") this.#ruling = undefined;
    return ruling;
  }

  /** Asks, once nothing is under way; afterwards there is a ruling. */
  ask(statement: Statement, params: Params): Step {
    return {
      go: "stand",
      until: (again) =>
        this.#pipeline.quiet(false, () => {
          // An error on the way made the rest of the client's group void, this statement included.
          if (this.#pipeline.skipping) again();
          else
            this.#decide(statement, params).then(
              (ruling) => {
                if (this.#stopped) return;
                this.#ruling = ruling;
                again();
              },
              (error: unknown) => this.#hooks.fault(error),
            );
        }),
    };
  }

  /** The message that runs it is going out. */
  executing(): void {
    this.#began = true;
  }

  /** The last message of the client's group is going out. `synced`: by a Sync, or a simple query. */
  groupEnded(synced: boolean): void {
    const ruling = this.#ruling;
    if (ruling?.is !== "run" || this.#running !== undefined) return;
    this.#running = ruling.run;
    this.#ruling = undefined;
    const finish = (): void => {
      ruling.run.finish(this.#server, this.#pipeline).then(
        (end) => {
          if (this.#stopped) return;
          this.#running = undefined;
          this.#began = false;
          if (end !== undefined) {
            this.#hooks.end(end);
            return;
          }
          const then = this.#settled;
          this.#settled = undefined;
          then?.();
        },
        (error: unknown) => this.#hooks.fault(error),
      );
    };
    this.#pipeline.quiet(synced, finish, true);
  }

  /** The client wants to wait no longer. Whether it was waiting. */
  withdraw(): boolean {
    if (this.#waiting === undefined) return false;
    this.#waiting.abort();
    return true;
  }

  /** The session is over. */
  stop(): void {
    this.#stopped = true;
    this.#waiting?.abort();
    const run = this.#running ?? (this.#ruling?.is === "run" ? this.#ruling.run : undefined);
    run?.abandon(this.#began, this.#pipeline);
  }

  /** The ruling; `undefined`: it does not wait for approval any more, so that it has to be looked at again. */
  async #decide(asked: Statement, params: Params): Promise<Ruling | undefined> {
    const { recording } = this.#pipeline;
    const refuse = (words: Words): Ruling => ({ is: "refused", statement: asked, words });
    if (this.#pipeline.status === transaction.failed) return refuse(transactionFailed);
    // A driver may send what opens its transaction and the first statement in one go.
    if (this.#pipeline.groupOpen && this.#pipeline.ranInGroup !== this.#pipeline.group) await this.#server.endGroup();
    if (this.#pipeline.groupOpen) return refuse(sentAlone);
    // It may have been judged long ago; what is asked for is what it means now.
    const fresh = await this.#judgements.again(asked);
    const { decision } = fresh;
    if (decision.is !== "held") return undefined;
    const inTransaction = this.#pipeline.status === transaction.open;
    const action = recording.next();
    recording.held(action, asked.text);
    let verdict: HoldVerdict;
    try {
      verdict = await this.#ask(decision, params, inTransaction);
    } catch {
      if (this.#stopped) return refuse(sessionOver);
      recording.settled(action, "fault");
      return refuse(cannotAsk(inTransaction));
    }
    // `closed` was the recording's last event.
    if (!this.#stopped) recording.settled(action, verdict.is);
    if (verdict.is !== "run") return refuse(notApproved(verdict.is, verdict.words, inTransaction));
    const run = new HeldRun(verdict, action, this.#terms.serverVersion);
    const problem = this.#stopped ? undefined : await this.#prepare(run, asked, decision);
    if (this.#stopped) run.abandon(false, this.#pipeline);
    return problem === undefined ? { is: "run", statement: fresh, action, run } : refuse(problem);
  }

  /** Before the bytes run: what they mean must still be what was approved. */
  async #prepare(run: HeldRun, asked: Statement, approved: Held): Promise<Words | undefined> {
    const { decision: now } = await this.#judgements.again(asked);
    const same = now.is === "held" && meaningOf(now.action) === meaningOf(approved.action);
    const problem = same ? await run.prepare(now, this.#server, this.#pipeline) : changedMeanwhile;
    if (problem === undefined) return undefined;
    const end = await run.giveUp(problem, this.#server, this.#pipeline);
    if (end !== undefined) this.#hooks.end(end);
    return problem;
  }

  async #ask(decision: Held, params: Params, inTransaction: boolean): Promise<HoldVerdict> {
    const { action } = decision;
    const what = params.length === 0 ? action.what : { ...action.what, params: [...params] };
    const waiting = new AbortController();
    this.#waiting = waiting;
    let waited = 0;
    const keepAlive = setInterval(() => {
      waited += this.#terms.keepAliveMs;
      // A parameter that no client knows: seen by the network, not by the person.
      this.#server.inject(
        message(fromServer.parameterStatus, "cardea_waiting_seconds", String(Math.round(waited / 1_000))),
      );
    }, this.#terms.keepAliveMs);
    try {
      return await this.#session.hold(
        {
          action: { ...action, what },
          patterns: decision.uses,
          inTransaction,
        },
        (words) => this.#server.inject(noticeResponse(words)),
        waiting.signal,
      );
    } finally {
      clearInterval(keepAlive);
      this.#waiting = undefined;
    }
  }
}
