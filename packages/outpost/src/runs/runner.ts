/**
 * Runs single actions that were approved: each grant's once, from evidence that is judged here, in the session that waits with it or by itself.
 * The intent is durable before anything is made or lent, and the start before anything is sent, so that a crash leaves no doubt but the one that
 * `resolver.ts` is for. Called by the task desk.
 */
import { CardeaError, type ErrorCode } from "@cardea/core/contract/errors";
import type { GrantId, TaskId } from "@cardea/core/contract/ids";
import type { EndReason, Task } from "@cardea/core/wire/link";
import type { Action } from "@cardea/core/documents/request";
import { refused, type Refused } from "@cardea/core/lib/result";
import { Foundations } from "../gateway/foundations.ts";
import type { Holds } from "../gateway/holds.ts";
import type { KeyEnder } from "../gateway/key-ender.ts";
import { failureOf, judgeShown, refusalOf, type Judged, type JudgeOptions } from "../leases/judge.ts";
import { runByItself, type OwnRunOptions } from "./by-itself.ts";
import { SessionRun, whyNotInSession, type SessionRunOptions } from "./in-session.ts";

export type RunTask = Extract<Task, { type: "run" }>;

export type RunnerOptions = JudgeOptions &
  OwnRunOptions &
  Omit<SessionRunOptions, "foundations"> & { readonly holds: Holds; readonly keyEnder: KeyEnder };

const notRun = "the action could not be run";

export class Runner {
  readonly #options: RunnerOptions;
  readonly #foundations: Foundations;
  /** Grants whose runs are under way; a task that is sent again meanwhile is answered by the receipt of the first. */
  readonly #running = new Map<GrantId, Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#foundations = new Foundations(options.store);
  }

  /** Takes the task; its receipt is spooled sooner or later. Returns at once. */
  run(task: RunTask): void {
    if (this.#running.has(task.grant) || this.#closing.signal.aborted) return;
    const work = this.#run(task)
      .catch((error: unknown) => this.#options.log.error({ err: error, grant: task.grant }, notRun))
      .finally(() => this.#running.delete(task.grant));
    this.#running.set(task.grant, work);
  }

  /**
   * Before the end of a grant: a run of it that is under way in a session goes with that session, or, where its time is merely up, is waited for;
   * it had to begin in time. A run by itself ends with its own login. Rejects where the signal comes first.
   */
  async end(grant: GrantId, why: EndReason, signal: AbortSignal): Promise<void> {
    const run = this.#options.store.runs.get(grant);
    const work = this.#running.get(grant);
    if (run?.session === undefined || work === undefined) return;
    if (why !== "expired")
      await this.#options.keyEnder.closeSession(run.session, `the approval of what runs in it was taken back (${why})`);
    await Promise.race([work, aborted(signal)]);
  }

  /** Stops; what was begun is finished by whoever starts next. Sessions are over by then. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#running.values());
  }

  async #run(task: RunTask): Promise<void> {
    try {
      const used = await this.#checkUnused(task);
      if (used === "answered") return;
      if (used !== "unused") {
        await this.#fail(task.id, used);
        return;
      }
      const judged = await judgeShown(this.#options, task, this.#closing.signal);
      const refusal = judged.ok ? await this.#do(task, judged.value) : judged;
      if (refusal !== undefined) await this.#fail(task.id, refusal);
    } catch (error) {
      if (!this.#closing.signal.aborted) await this.#fail(task.id, refusalOf(error, notRun));
    }
  }

  async #checkUnused({ id, grant }: RunTask): Promise<"unused" | "answered" | Refused<ErrorCode>> {
    const { store, teller } = this.#options;
    const run = store.runs.get(grant);
    if (run !== undefined) {
      if (run.task !== id) return refused("evidence_replayed", "the grant's action was run before");
      if ("receipt" in run) await store.write(() => teller.spool.again(run.receipt));
      return "answered";
    }
    return store.grants.get(grant) === undefined ? "unused" : refused("evidence_replayed", "the grant is over");
  }

  /** Why it was not run, where nothing was intended. */
  async #do(task: RunTask, judged: Judged): Promise<Refused<ErrorCode> | undefined> {
    const { grant, request } = judged.verified.evidence;
    if (!("action" in grant.permissions)) return refused("evidence_grant", "only single actions are run");
    const order = { ...judged, task: task.id, action: grant.permissions.action };
    if (request.asked.within !== undefined) return await this.#inSession(order);
    await judged.host.running.run(this.#closing.signal, () => runByItself(this.#options, order, this.#closing.signal));
    return undefined;
  }

  /** In the session that waits with exactly this, which is told where it cannot be. */
  async #inSession(
    order: Judged & { readonly task: TaskId; readonly action: Action },
  ): Promise<Refused<ErrorCode> | undefined> {
    const { holds, resolver, log } = this.#options;
    const { evidence } = order.verified;
    const gone = refused("hold_gone", "nobody waits for this action any more, so it did not run");
    const waiting = holds.find(evidence.request.asked);
    if (waiting === undefined) return gone;
    const options = { ...this.#options, foundations: this.#foundations };
    const not = whyNotInSession(options, waiting, evidence);
    if (not !== undefined) {
      // What passes is tried again, and the client waits on.
      if (!failureOf(not).retryable)
        await holds.refuse(waiting, { is: "refused", words: `it did not run: ${not.detail}` });
      return not;
    }
    if (!waiting.stop()) return gone;
    const run = new SessionRun(options, { ...order, waiting });
    try {
      await run.intend();
    } catch (error) {
      const refusal = refusalOf(error, notRun);
      waiting.conclude({ is: "refused", words: `it did not run: ${refusal.detail}` });
      return refusal;
    }
    try {
      await run.run();
    } catch (error) {
      log.error({ err: error, grant: evidence.grant.id }, "how a run went could not be recorded");
      waiting.conclude({ is: "refused", words: "it is not known whether it ran" });
      resolver.take(evidence.grant.id);
    }
    return undefined;
  }

  async #fail(task: TaskId, refusal: Refused<ErrorCode>): Promise<void> {
    const { store, teller, log } = this.#options;
    log.info({ task, code: refusal.code }, `not run: ${refusal.detail}`);
    await store.write(() => teller.spool.failure(task, failureOf(refusal)));
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(new CardeaError("cancelled", "the outpost is being stopped"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
