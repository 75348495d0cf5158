/**
 * The held statement: what was sent before it is let finish, the host is asked, the client is kept waiting in its own protocol; once
 * approved the very bytes run, alone, and nothing else of the session does until the host has taken the privilege back.
 */
import type { GatewaySession, HoldVerdict, SessionEnd } from "../../gateway.ts";
import type { Step } from "./client-side.ts";
import { readParameters } from "./held-group.ts";
import { HeldRun } from "./held-run.ts";
import type { Judgements } from "./judgements.ts";
import { fromServer, message, noticeResponse, transaction, type Words } from "./messages.ts";
import type { Pipeline } from "./pipeline.ts";
import type { ServerSide } from "./server-side.ts";
import type { Statement } from "./statement.ts";

/** What was decided about the statement that the client waits with. */
export type Ruling =
  | { readonly is: "run"; readonly statement: Statement; readonly action: number; readonly run: HeldRun }
  | { readonly is: "refused"; readonly statement: Statement; readonly words: Words };

export interface HoldHooks {
  /** Ends the session. */
  readonly end: (end: SessionEnd) => void;
  readonly fault: (error: unknown) => void;
}

export class Hold {
  readonly #session: Pick<GatewaySession<unknown>, "hold">;
  readonly #pipeline: Pipeline;
  readonly #judgements: Judgements;
  readonly #server: ServerSide;
  readonly #hooks: HoldHooks;
  readonly #keepAliveMs: number;
  #ruling: Ruling | undefined;
  #waiting: AbortController | undefined;
  #settled: (() => void) | undefined;
  #running: HeldRun | undefined;
  #stopped = false;

  constructor(
    session: Pick<GatewaySession<unknown>, "hold">,
    pipeline: Pipeline,
    judgements: Judgements,
    server: ServerSide,
    hooks: HoldHooks,
    keepAliveMs: number,
  ) {
    this.#session = session;
    this.#pipeline = pipeline;
    this.#judgements = judgements;
    this.#server = server;
    this.#hooks = hooks;
    this.#keepAliveMs = keepAliveMs;
  }

  /** Whether an approved statement runs and nothing else may. */
  get running(): boolean {
    return this.#running !== undefined;
  }

  whenSettled(then: () => void): void {
    if (this.#running === undefined) then();
    else this.#settled = then;
  }

  /** What was decided about this statement, if it is the one that was asked about. A refusal is said once. */
  ruling(statement: Statement): Ruling | undefined {
    const ruling = this.#ruling;
    if (ruling === undefined || ruling.statement.text !== statement.text) return undefined;
    if (ruling.is === "refused") this.#ruling = undefined;
    return ruling;
  }

  /** Asks, once nothing is under way; afterwards there is a ruling. */
  ask(statement: Statement, parameters: Buffer | undefined): Step {
    // The walk may throw the received bytes away.
    const kept = parameters === undefined ? undefined : Buffer.from(parameters);
    return {
      go: "stand",
      until: (again) =>
        this.#pipeline.quiet(false, () => {
          // An error on the way made the rest of the client's group void, this statement included.
          if (this.#pipeline.skipping) again();
          else
            this.#decide(statement, kept).then(
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

  /** The last message of the client's group is going out. `synced`: by a Sync, or a simple query. */
  groupEnded(synced: boolean): void {
    const ruling = this.#ruling;
    if (ruling?.is !== "run" || this.#running !== undefined) return;
    this.#running = ruling.run;
    this.#ruling = undefined;
    this.#pipeline.quiet(synced, () => {
      ruling.run.finish(this.#server, this.#pipeline).then(
        (end) => {
          if (this.#stopped) return;
          this.#running = undefined;
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
    });
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
    run?.abandon(this.#running !== undefined, this.#pipeline);
  }

  async #decide(statement: Statement, parameters: Buffer | undefined): Promise<Ruling> {
    const { recording } = this.#pipeline;
    const refuse = (code: string, text: string, hint?: string): Ruling => {
      const words = { code, message: text, ...(hint === undefined ? {} : { hint }) };
      return { is: "refused", statement, words };
    };
    if (this.#pipeline.status === transaction.failed)
      return refuse("25P02", "current transaction is aborted, commands ignored until end of transaction block");
    // A driver may send what opens its transaction and the first statement in one go.
    if (this.#pipeline.groupOpen && this.#pipeline.ranInGroup !== this.#pipeline.group) await this.#server.endGroup();
    if (this.#pipeline.groupOpen)
      return refuse(
        "0A000",
        "a statement that waits for approval is sent alone",
        "end the pipeline before it with a Sync",
      );
    const action = recording.next();
    recording.held(action, statement.text);
    let verdict: HoldVerdict;
    try {
      verdict = await this.#ask(statement, parameters);
    } catch {
      if (this.#stopped) return refuse("57P01", "the session is over");
      recording.settled(action, "fault");
      return refuse("58000", "approval cannot be asked for now", "try again later; the session goes on");
    }
    // `closed` was the recording's last event.
    if (!this.#stopped) recording.settled(action, verdict.is);
    switch (verdict.is) {
      case "run": {
        const run = new HeldRun(verdict, action);
        const problem = this.#stopped ? undefined : await this.#prepare(run, statement);
        if (this.#stopped) run.abandon(false, this.#pipeline);
        return problem ?? { is: "run", statement, action, run };
      }
      case "refused":
        return refuse("42501", verdict.words);
      case "expired":
        return refuse("57014", verdict.words);
      case "withdrawn":
        return refuse("57014", verdict.words);
    }
  }

  /** Before the bytes run: what they mean must still be what was approved. */
  async #prepare(run: HeldRun, statement: Statement): Promise<Ruling | undefined> {
    const now = await this.#judgements.again(statement);
    const same = JSON.stringify(now.decision) === JSON.stringify(statement.decision);
    const problem = same
      ? await run.prepare(this.#server, this.#pipeline)
      : { code: "40001", message: "what the statement's names stand for changed while it waited: it did not run" };
    if (problem === undefined) return undefined;
    await run.settle({ outcome: "failed", error: problem });
    return { is: "refused", statement, words: problem };
  }

  async #ask(statement: Statement, parameters: Buffer | undefined): Promise<HoldVerdict> {
    const { decision } = statement;
    if (decision.is !== "held") throw new TypeError("only a held statement is asked about");
    const binding = {
      ...decision.action.binding,
      ...(parameters === undefined ? {} : { params: readParameters(parameters) }),
    };
    const waiting = new AbortController();
    this.#waiting = waiting;
    let waited = 0;
    const keepAlive = setInterval(() => {
      waited += this.#keepAliveMs;
      // A parameter that no client knows: seen by the network, not by the person.
      this.#server.inject(
        message(fromServer.parameterStatus, "cardea_waiting_seconds", String(Math.round(waited / 1_000))),
      );
    }, this.#keepAliveMs);
    try {
      return await this.#session.hold(
        {
          action: { ...decision.action, binding },
          patterns: decision.patterns,
          inTransaction: this.#pipeline.status === transaction.open,
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
