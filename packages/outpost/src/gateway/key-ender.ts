/**
 * Ends keys of gateways: shut first, durably; then their sessions are closed and each session's login ended by the `Ender`, as after any other
 * session; with the last of them the key is over. One way for tasks, the deadline, the last use and what a crash left behind.
 */
import type { Logger } from "pino";
import type { GrantId, LeaseId, SessionId, TaskId } from "@cardea/core/contract/ids";
import type { EndReason } from "@cardea/core/wire/link";
import { toTime } from "@cardea/core/documents/primitives";
import type { Clock } from "@cardea/core/lib/clock";
import type { Ender } from "../leases/ender.ts";
import type { Teller } from "../leases/events.ts";
import type { InHand } from "../leases/in-hand.ts";
import type { Recorder } from "../recorder/recorder.ts";
import type { Tuning } from "../settings.ts";
import { noteGrant } from "../store/grants.ts";
import { dueKeys, nextKeyDueMs, sessionsOf, shutKey } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import type { SteadyClock } from "../trust/steady-clock.ts";
import { tellClosed } from "./events.ts";
import type { Sessions } from "./sessions.ts";
import { settleKey } from "./settle.ts";
import { endOf } from "./words.ts";

export interface KeyEnderOptions {
  readonly store: Store;
  readonly teller: Teller;
  readonly steady: SteadyClock;
  readonly ender: Ender;
  readonly inHand: InHand;
  readonly sessions: Sessions;
  readonly recorder: Pick<Recorder, "recovered">;
  readonly tuning: Tuning;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How a session ended whose outpost was killed. */
const cutOff = { why: "fault", words: "the outpost stopped without warning; what passed is not known" } as const;

/** What a gateway gets to close one session. */
const closeMs = 2_000;
/** Whoever asked for the end of a session hears of it when its login is gone, but does not wait for a resource that is away. */
const goneMs = 5_000;

export class KeyEnder {
  readonly #options: KeyEnderOptions;
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(options: KeyEnderOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier process left: its connections are gone, so its sessions are over. Then keeps deadlines. */
  async start(): Promise<void> {
    const { store, teller, clock, ender, recorder } = this.#options;
    await store.write(() => {
      for (const { key, value } of [...store.sessions.getRange({})]) {
        const [grant, session] = key;
        const { lease, resource, state } = value;
        if (state === "open") {
          const recording = recorder.recovered(session);
          const ids = { resource, grant, session, lease };
          tellClosed(teller, ids, cutOff, recording === undefined ? undefined : { recording });
        }
        if (store.leases.get(lease) === undefined) store.sessions.removeSync(key);
        else {
          store.sessions.putSync(key, { lease, resource, state: "closed" });
          ender.beginLogin(lease, "voided");
        }
      }
      for (const { value } of [...store.keys.getRange({})]) {
        if (value.state === "ending") settleKey({ store, teller, clock }, value);
        else if (value.usesLeft === 0) this.#shut(value.id, "spent", undefined);
      }
    });
    ender.poke();
    this.#keepDeadlines();
  }

  /** Whether the grant has a key here that is not over. */
  has(grant: GrantId): boolean {
    return this.#options.store.keys.get(grant) !== undefined;
  }

  /** Ends a key. The task is receipted once nothing of the grant is left; without one, an event tells of it then. */
  async end(grant: GrantId, why: EndReason, task?: TaskId): Promise<void> {
    const { store, sessions, ender, inHand } = this.#options;
    const leases = await store.write(() => this.#shut(grant, why, task));
    sessions.closeAll(grant, endOf(why));
    for (const lease of leases) inHand.interrupt(lease);
    ender.poke();
  }

  /** Ends one session; its key stays. */
  async closeSession(session: SessionId, words: string): Promise<void> {
    const { store, sessions, ender } = this.#options;
    await sessions.close(session, { why: "killed", words: `the session was closed: ${words}` }, closeMs);
    const found = [...store.sessions.getRange({})].find(({ key }) => key[1] === session);
    if (found === undefined) return;
    const { lease } = found.value;
    await store.write(() => ender.beginLogin(lease, "revoked"));
    ender.poke();
    await ender.finished(lease, AbortSignal.any([this.#closing.signal, AbortSignal.timeout(goneMs)]));
  }

  /** A session is over: a key whose last use that was is over too. */
  async afterSession(grant: GrantId): Promise<void> {
    const { store, sessions } = this.#options;
    const key = store.keys.get(grant);
    if (key?.state === "open" && key.usesLeft === 0 && sessions.count(grant) === 0) await this.end(grant, "spent");
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await this.#sweeping;
  }

  /** Inside `Store.write`. Answers with the leases that are to go. */
  #shut(grant: GrantId, why: EndReason, task: TaskId | undefined): LeaseId[] {
    const { store, teller, clock, ender } = this.#options;
    const key = store.keys.get(grant);
    const tasks = task === undefined ? [] : [task];
    if (key === undefined) {
      // Over meanwhile.
      for (const one of tasks) teller.spool.receipt(one, { type: "ended", grant, why, at: toTime(clock.now()) });
      return [];
    }
    if (key.state === "ending") {
      const more = tasks.filter((one) => !key.tasks.includes(one));
      if (more.length > 0) store.keys.putSync(grant, { ...key, tasks: [...key.tasks, ...more] });
      return [];
    }
    noteGrant(store, grant, { state: "over", untilMs: key.deadlineMs });
    const ending = shutKey(store, key, why, tasks);
    const leases = sessionsOf(store, grant).map(({ record }) => record.lease);
    for (const lease of leases) ender.beginLogin(lease, why);
    settleKey({ store, teller, clock }, ending);
    return leases;
  }

  #keepDeadlines(): void {
    if (this.#closing.signal.aborted) return;
    this.#sweeping = this.#endDue()
      .catch((error: unknown) => this.#options.log.error({ err: error }, "a key could not be ended at its deadline"))
      .finally(() => {
        if (this.#closing.signal.aborted) return;
        this.#timer = setTimeout(() => this.#keepDeadlines(), this.#pauseMs());
      });
  }

  async #endDue(): Promise<void> {
    const { store, steady } = this.#options;
    await Promise.all(dueKeys(store, steady.deadlineMs()).map((grant) => this.end(grant, "expired")));
  }

  /** Short sleeps, because the clock may be set meanwhile. */
  #pauseMs(): number {
    const { store, steady, tuning } = this.#options;
    const next = nextKeyDueMs(store);
    const waitMs = next === undefined ? tuning.maxSleepMs : next - steady.deadlineMs();
    return Math.min(tuning.maxSleepMs, Math.max(1, waitMs));
  }
}
