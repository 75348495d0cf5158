/**
 * Keeps sessions waiting with an action that has to be approved: signs what is asked for, has it filed by the control plane through the spool, and
 * waits for the answer, the client's patience, or the resource's time-out. It approves nothing: that an action may run is shown by evidence, which
 * `runs/` judges and then finds the session here. What is waited with is in the store, so that after a crash it is withdrawn.
 */
import type { Logger } from "pino";
import type { HeldAction, HoldVerdict } from "@cardea/connectors/gateway";
import type { Task } from "@cardea/core/wire/link";
import type { SessionId } from "@cardea/core/contract/ids";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { digestOf } from "@cardea/core/documents/digest";
import type { Asked } from "@cardea/core/documents/request";
import { formatDuration } from "@cardea/core/lib/duration";
import type { Random } from "@cardea/core/lib/random";
import type { Teller } from "../leases/events.ts";
import { signAsOutpost, type Keys } from "../identity.ts";
import type { Tuning } from "../settings.ts";
import type { Store } from "../store/store.ts";
import { maxTimerMs } from "../timer.ts";
import type { TrustState } from "../trust/trust-state.ts";
import { askedFor } from "./asked.ts";
import { tellHeld, tellWithdrawn, type WithdrawnWhy } from "./events.ts";
import { Waiting, type WaitingSession } from "./waiting.ts";

export interface HoldsOptions {
  readonly store: Store;
  readonly teller: Teller;
  readonly trust: Pick<TrustState, "whyNotNow">;
  readonly keys: Pick<Keys, "identity" | "identityKey">;
  readonly tuning: Tuning;
  readonly random: Random;
  readonly log: Logger;
}

/** Beyond what connectors allow themselves: what is filed has to fit into messages of the link. */
const maxActionBytes = 1024 * 1024;

type NotRun = Exclude<HoldVerdict, { is: "run" }>;

const again = "run it again to ask again";

export class Holds {
  readonly #options: HoldsOptions;
  readonly #waiting = new Map<SessionId, Waiting>();

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  /** Withdraws what an earlier process waited with: its sessions are over. */
  async start(): Promise<void> {
    const { store, teller } = this.#options;
    await store.write(() => {
      for (const { key: nonce, value } of [...store.holds.getRange({})]) {
        store.holds.removeSync(nonce);
        tellWithdrawn(teller, value, nonce, "session_closed");
      }
    });
  }

  /** See `GatewaySession.hold`. @throws CardeaError `store_failed` */
  async hold(
    session: WaitingSession,
    held: HeldAction,
    tell: (words: string) => void,
    signal: AbortSignal,
  ): Promise<HoldVerdict> {
    const not = this.#whyNot(session, held);
    if (not !== undefined) return { is: "refused", words: not };
    const { store, teller, keys, random } = this.#options;
    const { grant, request } = session.key;
    const asked = askedFor({ grant, request, session: session.id }, held.action, random);
    const signature = signAsOutpost(keys, digestOf("asked", asked));
    const waiting = new Waiting(session, asked, tell, signal);
    const { nonce } = asked;
    const about = { grant: grant.id, resource: session.host.id, session: session.id };
    this.#waiting.set(session.id, waiting);
    try {
      await store.write(() => {
        store.holds.putSync(nonce, about);
        tellHeld(teller, about, { asked, signature, recent: session.recent.texts() });
      });
      const unwatch = this.#watch(waiting, held.inTransaction);
      try {
        return await waiting.verdict;
      } finally {
        unwatch();
      }
    } finally {
      this.#waiting.delete(session.id);
    }
  }

  /** The request is filed, or the control plane says so again. */
  filed({ session, nonce, request, code, words }: Extract<Task, { type: "filed" }>): void {
    this.#find(session, nonce)?.noteFiled(request, code, words);
  }

  /** It will not run. Resolves once that is remembered. */
  async settle({ session, nonce, verdict, words }: Extract<Task, { type: "settle" }>): Promise<void> {
    const waiting = this.#find(session, nonce);
    if (waiting !== undefined) await this.refuse(waiting, { is: verdict, words });
  }

  /** The session that waits with exactly this. */
  find(asked: Asked): Waiting | undefined {
    const { within, nonce } = asked;
    const waiting = within === undefined ? undefined : this.#find(within.session, nonce);
    return waiting?.asks(asked) === true ? waiting : undefined;
  }

  /** Ends the waiting, unless something else did; the control plane knows why. Never rejects. */
  async refuse(waiting: Waiting, verdict: NotRun): Promise<void> {
    await this.#end(waiting, undefined, verdict);
  }

  #find(session: SessionId, nonce: string): Waiting | undefined {
    const waiting = this.#waiting.get(session);
    return waiting?.asked.nonce === nonce ? waiting : undefined;
  }

  /** Why this cannot be asked for now: nobody is to wait for what cannot come. */
  #whyNot({ id, key, host }: WaitingSession, { action }: HeldAction): string | undefined {
    const { store, trust } = this.#options;
    if (this.#waiting.has(id)) return "this session waits with another action already";
    if (!host.runsActions) return `\`${action.name}\` is not covered by this key, and cannot be asked for here`;
    if (Buffer.byteLength(canonicalJson(action)) > maxActionBytes)
      return `\`${action.name}\` is not covered by this key, and is too long to be asked for: do it in parts`;
    if (store.keys.get(key.id)?.state !== "open") return "the grant is over: ask again with `cardea request`";
    const notNow = trust.whyNotNow();
    return notNow === undefined ? undefined : `approval cannot be asked for now, and it did not run: ${notNow.detail}`;
  }

  /** Ends the waiting when nobody wants it any more or nothing can come of it. Returns the way to watch no longer. */
  #watch(waiting: Waiting, inTransaction: boolean): () => void {
    const { trust, tuning } = this.#options;
    const { left, session } = waiting;
    const leave = (): void => {
      const why = session.closed.aborted ? "session_closed" : "withdrawn";
      this.#giveUp(waiting, why, { is: "withdrawn", words: "it was withdrawn and did not run" });
    };
    left.addEventListener("abort", leave, { once: true });
    if (left.aborted) leave();

    const terms = session.host.behindGateway?.terms ?? { holdMs: 0, transactionHoldMs: 0 };
    const timeOut = setTimeout(
      () => this.#giveUp(waiting, "timed_out", { is: "expired", words: expiredWords(terms, inTransaction) }),
      Math.min(terms.holdMs, inTransaction ? terms.transactionHoldMs : terms.holdMs, maxTimerMs),
    );

    const unheard = setTimeout(() => {
      if (!waiting.filed)
        waiting.tell("the control plane has not answered yet; the request is filed as soon as it does");
    }, tuning.unheardMs);
    const look = setInterval(() => {
      const notNow = trust.whyNotNow();
      if (notNow === undefined) return;
      const words = `approval cannot be waited for, and it did not run: ${notNow.detail}; ${again}`;
      this.#giveUp(waiting, "withdrawn", { is: "refused", words });
    }, tuning.maxSleepMs);
    return () => {
      left.removeEventListener("abort", leave);
      clearTimeout(timeOut);
      clearTimeout(unheard);
      clearInterval(look);
    };
  }

  #giveUp(waiting: Waiting, why: WithdrawnWhy, verdict: NotRun): void {
    this.#end(waiting, why, verdict).catch(() => undefined);
  }

  async #end(waiting: Waiting, why: WithdrawnWhy | undefined, verdict: NotRun): Promise<void> {
    if (!waiting.stop()) return;
    const { store, teller, log } = this.#options;
    const { asked, session } = waiting;
    const about = { grant: session.key.id, resource: session.host.id, session: session.id };
    try {
      await store.write(() => {
        store.holds.removeSync(asked.nonce);
        if (why !== undefined) tellWithdrawn(teller, about, asked.nonce, why);
      });
    } catch (error) {
      // The next start withdraws it.
      log.error({ err: error, session: session.id }, "that nobody waits any more could not be recorded");
    }
    waiting.conclude(verdict);
  }
}

function expiredWords(
  { holdMs, transactionHoldMs }: { readonly holdMs: number; readonly transactionHoldMs: number },
  inTransaction: boolean,
): string {
  if (!inTransaction || holdMs <= transactionHoldMs)
    return `nobody approved it within ${formatDuration(holdMs)}, so it did not run; ${again}`;
  return (
    `nobody approved it within ${formatDuration(transactionHoldMs)}, as long as an open transaction is kept waiting, so it did not run: ` +
    `roll the transaction back, and ask outside of one, where it may wait for ${formatDuration(holdMs)}`
  );
}
