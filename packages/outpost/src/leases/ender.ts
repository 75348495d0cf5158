/**
 * Takes leases back: shut, closed and removed by the provider, recorded here. One way for everything that ends (a task, a deadline, a failed
 * attempt, a crash, a login that is missing), idempotent, tried for ever. Each resource has room of its own and gets its longest overdue first, so
 * neither a slow resource nor a storm at another holds anything up; one sleeper wakes for the next deadline of all.
 */
import type { Logger } from "pino";
import type { Ended } from "@cardea/connectors/connector";
import { CardeaError } from "@cardea/core/contract/errors";
import type { GrantId, LeaseId, ResourceId, TaskId } from "@cardea/core/contract/ids";
import type { EndReason } from "@cardea/core/wire/link";
import { toTime } from "@cardea/core/documents/primitives";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import { endOf } from "../gateway/words.ts";
import type { Sessions } from "../gateway/sessions.ts";
import { settleSession } from "../gateway/settle.ts";
import { backoffMs } from "../jitter.ts";
import type { ResourceHost } from "../resources/host.ts";
import type { Tuning } from "../settings.ts";
import {
  changeLease,
  dueLeases,
  nextDueMs,
  removeLease,
  resourcesWithLeases,
  type EndingLease,
  type LeaseRecord,
} from "../store/leases.ts";
import { noteGrant } from "../store/grants.ts";
import type { Store } from "../store/store.ts";
import { pausePoint } from "../pause-points.ts";
import type { SteadyClock } from "../trust/steady-clock.ts";
import { tellEnding, tellGone, tellMisuse, tellStuck, type Teller } from "./events.ts";
import type { InHand } from "./in-hand.ts";

export interface EnderOptions {
  readonly store: Store;
  readonly teller: Teller;
  readonly steady: SteadyClock;
  readonly inHand: InHand;
  /** A session's client is told before its login goes. */
  readonly sessions: Sessions;
  /** Every resource has a host here, configured or not. */
  readonly hostFor: (resource: ResourceId) => ResourceHost;
  readonly tuning: Tuning;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** A gateway that does not close a session within this time has it closed at the resource. */
const politeMs = 1_000;

/** How an unknown grant that was asked to end is remembered: longer than any window. */
const rememberMs = 400 * 86_400_000;

export class Ender {
  readonly #options: EnderOptions;
  readonly #active = new Map<ResourceId, number>();
  readonly #running = new Set<Promise<void>>();
  readonly #waiters = new Map<LeaseId, Set<() => void>>();
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #pumpQueued = false;

  constructor(options: EnderOptions) {
    this.#options = options;
  }

  /** Begins with whatever is overdue, and finishes what a crash left unfinished. */
  start(): void {
    this.poke();
  }

  /** Something may be due. Returns at once. */
  poke(): void {
    if (this.#pumpQueued || this.#closing.signal.aborted) return;
    this.#pumpQueued = true;
    setImmediate(() => {
      this.#pumpQueued = false;
      this.#pump();
    });
  }

  /** Stops taking up leases and waits for those in hand. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    for (const waiters of this.#waiters.values()) for (const done of waiters) done();
    await Promise.all(this.#running);
  }

  /** Ends a grant. The task is receipted once nothing of the grant is left; a grant that was never seen can then never be issued. */
  async end(task: TaskId, grant: GrantId, why: EndReason): Promise<void> {
    const { store, steady, inHand } = this.#options;
    const lease = await store.write(() => {
      const used = store.grants.get(grant);
      const current = used === undefined || used.lease === undefined ? undefined : store.leases.get(used.lease);
      noteGrant(store, grant, {
        state: "over",
        untilMs: used?.untilMs ?? steady.deadlineMs() + rememberMs,
        ...(current !== undefined && { lease: current.id }),
      });
      if (current === undefined) this.#receipt(task, grant, why);
      else this.#begin(current, { why, over: true, task });
      return current?.id;
    });
    await pausePoint("end.recorded");
    if (lease !== undefined) inHand.interrupt(lease);
    this.poke();
  }

  /** Inside `Store.write`: a login is to go that is a session's or a run's: no grant is over with it. */
  beginLogin(lease: LeaseId, why: EndReason): void {
    const current = this.#options.store.leases.get(lease);
    if (current !== undefined && current.state !== "ending") this.#begin(current, { why, over: false });
  }

  /** Inside `Store.write`: what an unfinished attempt may have made is to go; the grant may be issued again afterwards. */
  beginUnfinished(lease: LeaseId): void {
    const current = this.#options.store.leases.get(lease);
    if (current?.state === "intended") this.#begin(current, { why: "voided", over: false });
  }

  /** Ends a live lease whose login is not at the resource any more, or not as it was made. */
  async endMisused(lease: LeaseId, what: readonly string[]): Promise<void> {
    const { store, teller } = this.#options;
    await store.write(() => {
      const current = store.leases.get(lease);
      if (current?.state !== "live") return;
      tellMisuse(teller, current, what);
      const over = current.session === undefined;
      if (over) noteGrant(store, current.grant, { state: "over", lease, untilMs: current.deadlineMs });
      this.#begin(current, { why: "voided", over });
    });
    this.poke();
  }

  /** Whether the lease is gone; waits for it until the signal. */
  async finished(lease: LeaseId, signal: AbortSignal): Promise<boolean> {
    const { store } = this.#options;
    const gone = (): boolean => store.leases.get(lease) === undefined;
    if (gone() || signal.aborted) return gone();
    await new Promise<void>((resolve) => {
      const waiters = this.#waiters.get(lease) ?? new Set();
      this.#waiters.set(lease, waiters);
      const done = (): void => {
        signal.removeEventListener("abort", done);
        waiters.delete(done);
        if (waiters.size === 0) this.#waiters.delete(lease);
        resolve();
      };
      waiters.add(done);
      signal.addEventListener("abort", done, { once: true });
      this.poke();
    });
    return gone();
  }

  /** Waits until no session's login is being ended, or for the signal. */
  async idle(signal: AbortSignal): Promise<void> {
    const { store } = this.#options;
    for (const { value } of [...store.sessions.getRange({})]) await this.finished(value.lease, signal);
  }

  /** Takes up what is due, as far as each resource has room, and sleeps until the next is. */
  #pump(): void {
    if (this.#closing.signal.aborted) return;
    clearTimeout(this.#timer);
    const { store, steady, tuning, hostFor } = this.#options;
    const nowMs = steady.deadlineMs();
    let sleepMs = tuning.maxSleepMs;
    for (const resource of resourcesWithLeases(store)) {
      const host = hostFor(resource);
      const waitMs = this.#takeUp(host, nowMs);
      if (waitMs !== undefined) sleepMs = Math.min(sleepMs, waitMs);
    }
    this.#timer = setTimeout(() => this.#pump(), Math.max(1, sleepMs));
  }

  /** How long until there is more to do; `undefined` where something in hand will say so. */
  #takeUp(host: ResourceHost, nowMs: number): number | undefined {
    const { store, inHand } = this.#options;
    const breakerMs = host.breaker.waitMs();
    if (breakerMs !== 0) return breakerMs;
    // One at a time while it is unknown whether the resource is back.
    let room = host.breaker.open ? 1 : host.endings - (this.#active.get(host.id) ?? 0);
    if (room <= 0) return undefined;
    for (const lease of dueLeases(store, host.id, nowMs)) {
      if (inHand.has(lease)) continue;
      this.#launch(host, lease);
      if (--room === 0) return undefined;
    }
    const next = nextDueMs(store, host.id);
    return next === undefined || next <= nowMs ? undefined : next - nowMs;
  }

  #launch(host: ResourceHost, lease: LeaseId): void {
    const { inHand, log } = this.#options;
    inHand.take(lease);
    this.#active.set(host.id, (this.#active.get(host.id) ?? 0) + 1);
    const run = this.#finish(host, lease)
      .catch((error: unknown) => log.error({ err: error, lease }, "a lease could not be ended"))
      .finally(() => {
        inHand.release(lease);
        this.#active.set(host.id, (this.#active.get(host.id) ?? 1) - 1);
        this.#running.delete(run);
        this.poke();
      });
    this.#running.add(run);
  }

  async #finish(host: ResourceHost, id: LeaseId): Promise<void> {
    const { tuning } = this.#options;
    const lease = await this.#record(id);
    if (lease === undefined) return;
    if (lease.session !== undefined) await this.#options.sessions.close(lease.session, endOf(lease.why), politeMs);
    await pausePoint("end.called");
    try {
      const ended = await host.call("ending a login", tuning.endMs, this.#closing.signal, (provider, within) =>
        provider.end(lease.nativeName, within),
      );
      await pausePoint("lease.ended");
      await this.#gone(id, ended);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      await this.#retryLater(id, error);
    }
    await pausePoint("lease.gone");
  }

  /** The durable decision to end it, where there is none yet. */
  async #record(id: LeaseId): Promise<EndingLease | undefined> {
    const { store } = this.#options;
    const known = store.leases.get(id);
    if (known === undefined || known.state === "ending") return known;
    return await store.write(() => {
      const current = store.leases.get(id);
      if (current === undefined || current.state === "ending") return current;
      if (current.state === "intended") return this.#begin(current, { why: "voided", over: false });
      // Its key ends by a clock of its own.
      if (current.session !== undefined) return this.#begin(current, { why: "expired", over: false });
      noteGrant(store, current.grant, { state: "over", lease: id, untilMs: current.deadlineMs });
      return this.#begin(current, { why: "expired", over: true });
    });
  }

  /** Inside `Store.write`. Ending what is ending adds the task; a grant that is over stays over, for the reason given first. */
  #begin(
    current: LeaseRecord,
    { why, over, task }: { readonly why: EndReason; readonly over: boolean; readonly task?: TaskId },
  ): EndingLease {
    const { store, teller, steady } = this.#options;
    const tasks = task === undefined ? [] : [task];
    if (current.state === "ending") {
      const more = tasks.filter((one) => !current.tasks.includes(one));
      const joined: EndingLease = {
        ...current,
        over: current.over || over,
        why: current.over ? current.why : why,
        tasks: [...current.tasks, ...more],
      };
      changeLease(store, current, joined);
      return joined;
    }
    const { id, grant, resource, nativeName, deadlineMs, session } = current;
    // What somebody revokes or releases is not to wait behind a storm of what merely ran out.
    const nextAttemptMs = why === "expired" ? Math.min(deadlineMs, steady.deadlineMs()) : 1;
    const ending: EndingLease = {
      id,
      grant,
      resource,
      nativeName,
      deadlineMs,
      state: "ending",
      why,
      over,
      tasks,
      attempts: 0,
      nextAttemptMs,
      stuck: false,
      ...(session !== undefined && { session }),
    };
    changeLease(store, current, ending);
    tellEnding(teller, ending);
    return ending;
  }

  async #gone(id: LeaseId, { closedSessions, misuse }: Ended): Promise<void> {
    const { store, teller, clock, sessions } = this.#options;
    const ending = store.leases.get(id);
    await store.write(() => {
      const lease = store.leases.get(id);
      if (lease?.state !== "ending") return;
      if (misuse.length > 0) tellMisuse(teller, lease, misuse);
      tellGone(teller, lease, closedSessions);
      removeLease(store, lease);
      if (lease.session !== undefined) {
        settleSession({ store, teller, clock }, lease.grant, lease.session);
        return;
      }
      for (const task of lease.tasks) this.#receipt(task, lease.grant, lease.why);
      const used = store.grants.get(lease.grant);
      if (used?.state === "over") noteGrant(store, lease.grant, { state: "over", untilMs: used.untilMs });
    });
    const session = ending?.session;
    if (session !== undefined) sessions.leave(session);
    for (const done of this.#waiters.get(id) ?? []) done();
  }

  async #retryLater(id: LeaseId, error: unknown): Promise<void> {
    const { store, teller, tuning, steady, random, log } = this.#options;
    const code = error instanceof CardeaError ? error.code : "internal";
    const detail = error instanceof Error ? error.message : "unknown";
    log.warn({ err: error, lease: id, code }, "a lease could not be ended; it is tried again");
    await store.write(() => {
      const lease = store.leases.get(id);
      if (lease?.state !== "ending") return;
      const attempts = lease.attempts + 1;
      const stuck = lease.stuck || code === "lease_stuck" || attempts >= tuning.stuckAfter;
      const later: EndingLease = {
        ...lease,
        attempts,
        stuck,
        nextAttemptMs: steady.deadlineMs() + backoffMs(tuning.endRetryMs, attempts - 1, random),
      };
      changeLease(store, lease, later);
      if (stuck && !lease.stuck) tellStuck(teller, later, code, detail);
    });
  }

  #receipt(task: TaskId, grant: GrantId, why: EndReason): void {
    const { teller, clock } = this.#options;
    teller.spool.receipt(task, { type: "ended", grant, why, at: toTime(clock.now()) });
  }
}
