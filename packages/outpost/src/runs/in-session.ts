/**
 * The run of an approved action in the session that waits with it. What it needs is lent to the session's own login, the gateway sends the very
 * bytes, and what was lent is taken back before anything else of the session runs; where that fails, session and login end.
 */
import type { Logger } from "pino";
import type { ActionOrder } from "@cardea/connectors/connector";
import type { HeldOutcome, HoldVerdict, SessionEnd } from "@cardea/connectors/gateway";
import { CardeaError, type ErrorCode } from "@cardea/core/contract/errors";
import type { TaskId } from "@cardea/core/contract/ids";
import { canonicalJson } from "@cardea/core/documents/canonical";
import type { Evidence } from "@cardea/core/documents/evidence";
import type { Action } from "@cardea/core/documents/request";
import { refused, type Refused } from "@cardea/core/lib/result";
import { sessionFact } from "@cardea/core/policy/asked";
import { isWithin } from "../gateway/addresses.ts";
import type { Foundations } from "../gateway/foundations.ts";
import type { Sessions } from "../gateway/sessions.ts";
import type { Waiting } from "../gateway/waiting.ts";
import type { Ender } from "../leases/ender.ts";
import type { InHand } from "../leases/in-hand.ts";
import { refusalOf, type Judged } from "../leases/judge.ts";
import { pausePoint } from "../pause-points.ts";
import type { Tuning } from "../settings.ts";
import type { Store } from "../store/store.ts";
import type { SteadyClock } from "../trust/steady-clock.ts";
import type { TrustState } from "../trust/trust-state.ts";
import type { Resolver } from "./resolver.ts";
import type { RunBook, RunEnd } from "./run-book.ts";

export interface SessionRunOptions {
  readonly store: Store;
  readonly book: RunBook;
  readonly resolver: Resolver;
  readonly trust: TrustState;
  readonly steady: SteadyClock;
  readonly foundations: Foundations;
  readonly ender: Ender;
  readonly inHand: InHand;
  readonly sessions: Sessions;
  readonly tuning: Tuning;
  readonly log: Logger;
}

export interface SessionRunOrder extends Judged {
  readonly task: TaskId;
  readonly action: Action;
  /** Stopped by the caller, who concludes it where this never begins. */
  readonly waiting: Waiting;
}

const notBack: SessionEnd = {
  why: "policy",
  words: "the session is closed: what was lent to it for the approved action could not be taken back",
};

/**
 * Why the session may not run what was approved: the key that it was opened with must still be worth a session, and it must be what policy was
 * told that it covers.
 */
export function whyNotInSession(
  { store, trust, steady, foundations }: Pick<SessionRunOptions, "store" | "trust" | "steady" | "foundations">,
  { session, asked }: Waiting,
  { grant, request, spec }: Evidence,
): Refused<ErrorCode> | undefined {
  const key = store.keys.get(session.key.id);
  if (key?.state !== "open" || steady.deadlineMs() >= session.login.deadlineMs || session.closed.aborted)
    return refused("grant_ended", "the session's own grant is over");
  const { sourceIps } = grant.limits;
  if (sourceIps !== undefined && !isWithin(sourceIps, session.sourceAddress))
    return refused("evidence_grant", `it was approved for ${sourceIps.join(", ")}, not for ${session.sourceAddress}`);
  if (!("action" in asked.ask)) return refused("evidence_grant", "only single actions are run");
  const covers = sessionFact(key.grant.judgement, asked.ask.action, spec);
  if (canonicalJson(request.facts.verified["session"] ?? null) !== canonicalJson(covers))
    return refused("evidence_decision", "policy was told something else of what the session's own grant covers");
  const stands = trust.stands({ request: key.request, ...foundations.of(key.policy, key.spec) });
  if (stands.ok) return undefined;
  const code = stands.code === "state_stale" ? stands.code : "grant_ended";
  return refused(code, `the session's own grant no longer stands: ${stands.detail}`);
}

export class SessionRun {
  readonly #options: SessionRunOptions;
  readonly #order: SessionRunOrder;
  readonly #actionOrder: ActionOrder;
  #settled: Promise<{ readonly end?: SessionEnd }> | undefined;
  #whenSettled: () => void = () => undefined;

  constructor(options: SessionRunOptions, order: SessionRunOrder) {
    this.#options = options;
    this.#order = order;
    this.#actionOrder = {
      lease: order.waiting.session.login.lease,
      nativeName: order.waiting.session.login.nativeName,
      notAfterMs: order.waiting.session.login.deadlineMs,
      action: order.action,
    };
  }

  /** The durable intent. @throws CardeaError `evidence_replayed`, `store_failed`; then nothing was intended */
  async intend(): Promise<void> {
    const { store, book } = this.#options;
    const { task, verified, action, host, deadlineMs, waiting } = this.#order;
    const { id: session, login } = waiting.session;
    await store.write(() => {
      book.intend({ task, verified, action, resource: host.id, lease: login.lease, deadlineMs, session });
      store.holds.removeSync(waiting.asked.nonce);
    });
    await pausePoint("run.intended");
  }

  /** From the intent to the end. @throws CardeaError `store_failed`: how it went could not be recorded */
  async run(): Promise<void> {
    const { waiting } = this.#order;
    const ended = new Promise<void>((resolve) => (this.#whenSettled = resolve));
    const verdict = await this.#lend();
    await pausePoint("run.lent");
    if (verdict.is === "run" && waiting.left.aborted) {
      await this.settle({ outcome: "failed", error: withdrawn });
      waiting.conclude({ is: "withdrawn", words: withdrawn.message });
      return;
    }
    waiting.conclude(verdict);
    if (verdict.is !== "run") return;
    await Promise.race([ended, this.#options.sessions.gone(waiting.session.id)]);
    // The gateway settles always; should it not, nobody saw the end.
    await this.settle({ outcome: "unknown" });
  }

  /** What was lent is taken back first: once it is told how it went, nothing is left of it. Settled once, however often it is called. */
  settle(outcome: HeldOutcome): Promise<{ readonly end?: SessionEnd }> {
    this.#settled ??= this.#settle(outcome).finally(() => this.#whenSettled());
    return this.#settled;
  }

  /** The verdict: to run, once the session's login may; refused where it cannot. */
  async #lend(): Promise<HoldVerdict> {
    const { inHand, ender, tuning, log } = this.#options;
    const { host, waiting } = this.#order;
    const { lease } = this.#actionOrder;
    try {
      if (inHand.has(lease)) throw new CardeaError("grant_ended", "the session is ending");
      const wanted = inHand.take(lease);
      try {
        const signal = AbortSignal.any([wanted, waiting.left]);
        const { as } = await host.callActions("lending a privilege", tuning.createMs, signal, (actions, within) =>
          actions.lend(this.#actionOrder, within),
        );
        return {
          is: "run",
          ...(as !== undefined && { as }),
          started: (trace) => this.#start(trace),
          settle: (outcome) => this.settle(outcome),
        };
      } finally {
        inHand.release(lease);
        ender.poke();
      }
    } catch (error) {
      log.warn({ err: error, session: waiting.session.id }, "an approved action could not be run");
      const { code, detail } = refusalOf(error, "what it needs could not be lent");
      const left = waiting.left.aborted;
      await this.settle({ outcome: "failed", error: left ? withdrawn : { code, message: detail } });
      return left
        ? { is: "withdrawn", words: withdrawn.message }
        : { is: "refused", words: `it did not run: ${detail}` };
    }
  }

  async #start(trace: string | undefined): Promise<void> {
    const { store, book, steady } = this.#options;
    const { verified, waiting } = this.#order;
    const { key, login } = waiting.session;
    await store.write(() => {
      if (
        store.keys.get(key.id)?.state !== "open" ||
        store.leases.get(login.lease)?.state !== "live" ||
        steady.deadlineMs() >= login.deadlineMs
      )
        throw new CardeaError("grant_ended", "the session's own grant ended before it ran");
      book.start(verified.evidence.grant.id, trace);
    });
    await pausePoint("run.running");
  }

  async #settle({ outcome, rows, error }: HeldOutcome): Promise<{ readonly end?: SessionEnd }> {
    const { store, book, resolver } = this.#options;
    const { id } = this.#order.verified.evidence.grant;
    await pausePoint("run.ran");
    const end = await this.#takeBack();
    const told: RunEnd = { outcome, ...(rows !== undefined && { rows }), ...(error !== undefined && { error }) };
    if (outcome === "unknown" && store.runs.get(id)?.state === "running") resolver.take(id);
    else await store.write(() => book.settle(id, told));
    await pausePoint("run.settled");
    return end === undefined ? {} : { end };
  }

  /** Why the session has to end, where it has: what could not be taken back goes with its login. */
  async #takeBack(): Promise<SessionEnd | undefined> {
    const { store, inHand, ender, sessions, tuning, log } = this.#options;
    const { host, waiting } = this.#order;
    const { lease } = this.#actionOrder;
    // A login that is going takes everything with it.
    if (store.leases.get(lease)?.state !== "live" || inHand.has(lease)) return undefined;
    const wanted = inHand.take(lease);
    try {
      await host.callActions("taking a privilege back", tuning.createMs, wanted, (actions, within) =>
        actions.takeBack(this.#actionOrder, within),
      );
      return undefined;
    } catch (error) {
      log.warn({ err: error, session: waiting.session.id }, "what was lent to a session could not be taken back");
      // Its words before those of the login's end.
      sessions.end(waiting.session.id, notBack);
      await store.write(() => ender.beginLogin(lease, "voided"));
      return notBack;
    } finally {
      inHand.release(lease);
      ender.poke();
    }
  }
}

const withdrawn = { code: "cancelled", message: "it was withdrawn and did not run" };
