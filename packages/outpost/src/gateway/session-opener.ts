/**
 * Opens sessions and records their ends. Each has a login of its own: its intent is durable before the login is made, with the use that it takes,
 * and whatever comes of it ends by the `Ender`. Called once somebody may come in; it asks again whether the key is open at every step.
 */
import type { Logger } from "pino";
import type { CreatedLogin } from "@cardea/connectors/connector";
import type { Admission as Admitted, Arrival } from "@cardea/connectors/gateway";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId, type GrantId } from "@cardea/core/contract/ids";
import { newNativeName } from "@cardea/core/contract/native-name";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import type { Ender } from "../leases/ender.ts";
import { tellLease, type Teller } from "../leases/events.ts";
import type { InHand } from "../leases/in-hand.ts";
import { pausePoint } from "../pause-points.ts";
import type { Recorder } from "../recorder/recorder.ts";
import type { RecordingSummary, SessionRecording } from "../recorder/session-recording.ts";
import type { ResourceHost } from "../resources/host.ts";
import type { Tuning } from "../settings.ts";
import { addLease, changeLease, type IntendedLease, type LiveLease } from "../store/leases.ts";
import type { OpenKey } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import type { SteadyClock } from "../trust/steady-clock.ts";
import { tellClosed, tellOpened, type SessionCounts, type SessionIds } from "./events.ts";
import type { Holds } from "./holds.ts";
import type { KeyEnder } from "./key-ender.ts";
import { OpenSession, type Closed } from "./open-session.ts";
import type { Place, Sessions } from "./sessions.ts";
import { refused } from "./words.ts";

export interface SessionOpenerOptions {
  readonly store: Store;
  readonly teller: Teller;
  readonly steady: SteadyClock;
  readonly ender: Ender;
  readonly keyEnder: KeyEnder;
  readonly inHand: InHand;
  readonly sessions: Sessions;
  readonly holds: Holds;
  readonly recorder: Recorder;
  readonly tuning: Tuning;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const patienceMs = 500;

/** What a session is to be opened with. */
export interface SessionOrder {
  readonly key: OpenKey;
  readonly host: ResourceHost;
  readonly arrival: Arrival;
  readonly place: Place;
  readonly upstreamOf: (login: CreatedLogin) => unknown;
}

export class SessionOpener {
  readonly #options: SessionOpenerOptions;
  readonly #running = new Set<Promise<void>>();

  constructor(options: SessionOpenerOptions) {
    this.#options = options;
  }

  /** Waits until the ends of sessions are recorded. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Opens a session in the place that it has. @throws CardeaError `store_failed` */
  async open(order: SessionOrder, signal: AbortSignal): Promise<Admitted<unknown>> {
    const { inHand, ender, log, tuning } = this.#options;
    const { host, key, place } = order;
    const lease = await this.#intend(order);
    if (lease === undefined)
      return refused("forbidden", "the grant is over or used up: ask again with `cardea request`");
    const wanted = inHand.take(lease.id);
    const beginning = this.#record(order);
    try {
      await pausePoint("lease.intended");
      const within = AbortSignal.any([signal, wanted, AbortSignal.timeout(tuning.createMs)]);
      const login = await host.issuing.run(within, () => this.#make(order, lease, within));
      const upstream = order.upstreamOf(login);
      const recording = await beginning;
      await pausePoint("lease.created");
      if (signal.aborted || !(await this.#enter(order, lease))) {
        recording.abandon();
        await this.#undo(order, lease);
        return refused("forbidden", "the grant is over: ask again with `cardea request`");
      }
      const ids = idsOf(lease, place);
      const { nativeName, deadlineMs } = lease;
      const session = new OpenSession({
        session: {
          id: place.id,
          key,
          host,
          login: { lease: lease.id, nativeName, deadlineMs },
          sourceAddress: order.arrival.source.address,
          closed: place.closed,
        },
        upstream,
        recordsOutput: recordsOutput(host),
        recording,
        holds: this.#options.holds,
        ended: (end, counts) => this.#follow(this.#leave(ids, end, counts, recording)),
      });
      return { is: "admitted", session };
    } catch (error) {
      log.warn({ err: error, session: place.id, grant: key.id }, "a session could not be opened");
      (await beginning.catch(() => undefined))?.abandon();
      await this.#undo(order, lease);
      const words = error instanceof CardeaError ? error.message : "its login could not be made in time";
      return refused("unavailable", `the session cannot be opened now: ${words}`);
    } finally {
      inHand.release(lease.id);
      ender.poke();
    }
  }

  /** Begins beside the making of the login; without a recording there is no session. */
  #record({ host, key, place }: SessionOrder): Promise<SessionRecording> {
    const { recorder, sessions } = this.#options;
    const beginning = recorder.begin({
      session: place.id,
      grant: key.id,
      resource: host.id,
      recordsOutput: recordsOutput(host),
      end: (end) => sessions.end(place.id, end),
    });
    // Awaited once there is a login.
    beginning.catch(() => undefined);
    return beginning;
  }

  /** The durable intent, with the use that it takes. */
  async #intend({ key, host, place }: SessionOrder): Promise<IntendedLease | undefined> {
    const { store, teller, clock, random } = this.#options;
    const lease: IntendedLease = {
      id: newId("lease", clock, random),
      grant: key.id,
      resource: host.id,
      nativeName: newNativeName(host.markKey, key.deadlineMs, random).name,
      deadlineMs: key.deadlineMs,
      session: place.id,
      state: "intended",
    };
    return await store.write(() => {
      const current = store.keys.get(key.id);
      if (current?.state !== "open" || current.usesLeft === 0) return undefined;
      if (current.usesLeft !== undefined) store.keys.putSync(key.id, { ...current, usesLeft: current.usesLeft - 1 });
      addLease(store, lease);
      store.sessions.putSync([key.id, place.id], { lease: lease.id, resource: host.id, state: "arriving" });
      tellLease(teller, "lease.intended", lease);
      return lease;
    });
  }

  #make({ host, key: { grant } }: SessionOrder, lease: IntendedLease, signal: AbortSignal): Promise<CreatedLogin> {
    const { permissions } = grant;
    if (!("role" in permissions)) throw new TypeError("a key is of a role");
    const order = {
      lease: lease.id,
      nativeName: lease.nativeName,
      notAfterMs: lease.deadlineMs,
      role: permissions.role,
      patterns: permissions.patterns,
      sessions: 1,
      via: "gateway" as const,
    };
    return host.call("making a session's login", this.#options.tuning.createMs, signal, (provider, within) =>
      provider.create(order, within),
    );
  }

  /** The login is there: the session is open, unless its key ended meanwhile. */
  async #enter({ key, place, arrival }: SessionOrder, lease: IntendedLease): Promise<boolean> {
    const { store, teller, steady, clock } = this.#options;
    return await store.write(() => {
      const current = store.leases.get(lease.id);
      if (store.keys.get(key.id)?.state !== "open" || current?.state !== "intended") return false;
      if (steady.deadlineMs() >= lease.deadlineMs) return false;
      const live: LiveLease = { ...current, state: "live", liveAtMs: clock.now() };
      changeLease(store, current, live);
      tellLease(teller, "lease.live", live);
      store.sessions.putSync([key.id, place.id], { lease: lease.id, resource: lease.resource, state: "open" });
      tellOpened(teller, idsOf(lease, place), arrival);
      return true;
    });
  }

  /** The use was not used, and what may have been made is to go. */
  async #undo({ key }: SessionOrder, lease: IntendedLease): Promise<void> {
    const { store, ender } = this.#options;
    await store.write(() => {
      ender.beginUnfinished(lease.id);
      this.#giveBackUse(key.id);
    });
  }

  /** Inside `Store.write`. */
  #giveBackUse(grant: GrantId): void {
    const { store } = this.#options;
    const current = store.keys.get(grant);
    if (current?.state === "open" && current.usesLeft !== undefined)
      store.keys.putSync(grant, { ...current, usesLeft: current.usesLeft + 1 });
  }

  /** The client is gone: told with what passed, and the session's login is to go. */
  async #leave(ids: SessionIds, end: Closed, counts: SessionCounts, recorded: SessionRecording): Promise<void> {
    const { store, teller, ender, sessions, keyEnder } = this.#options;
    const { grant, session, lease, resource } = ids;
    sessions.leave(session);
    const recording = await this.#close(ids, recorded);
    await store.write(() => {
      tellClosed(teller, ids, end, { ...counts, recording });
      if (neverWas(end, counts)) this.#giveBackUse(grant);
      if (store.sessions.get([grant, session]) === undefined) return;
      store.sessions.putSync([grant, session], { lease, resource, state: "closed" });
      ender.beginLogin(lease, "released");
    });
    ender.poke();
    await keyEnder.afterSession(grant);
  }

  /** What the recording came to. A disk that takes its time does not keep the login. */
  async #close({ lease }: SessionIds, recorded: SessionRecording): Promise<RecordingSummary> {
    const { store, ender } = this.#options;
    const late = setTimeout(() => {
      this.#follow(store.write(() => ender.beginLogin(lease, "released")).then(() => ender.poke()));
    }, patienceMs);
    try {
      return await recorded.close();
    } finally {
      clearTimeout(late);
    }
  }

  #follow(work: Promise<void>): void {
    const followed = work.catch((error: unknown) =>
      this.#options.log.error({ err: error }, "the end of a session could not be recorded"),
    );
    const done = followed.then(() => void this.#running.delete(done));
    this.#running.add(done);
  }
}

/** The resource failed before anything was passed on to it: that was no use of the key. */
function neverWas({ why }: Closed, { actions, bytesIn }: SessionCounts): boolean {
  return (why === "resource" || why === "fault") && actions === 0 && bytesIn === 0;
}

function recordsOutput(host: ResourceHost): boolean {
  return host.behindGateway?.terms.recordsOutput ?? false;
}

function idsOf({ grant, resource, id: lease }: IntendedLease, { id: session }: Place): SessionIds {
  return { grant, resource, session, lease };
}
