/**
 * Compares what bears a resource's mark with the leases. What no lease explains is removed; a live lease without a login is reported and ended;
 * a name whose mark does not verify is reported and never touched. Runs at the start and from time to time, against everything that a crash, a
 * restored backup or a hand at the resource can leave behind.
 */
import { setImmediate as turn } from "node:timers/promises";
import type { Logger } from "pino";
import type { Listing, OwnObject } from "@cardea/connectors/connector";
import { toTime } from "@cardea/core/documents/primitives";
import type { Clock } from "@cardea/core/lib/clock";
import type { ResourceHost } from "../resources/host.ts";
import type { Tuning } from "../settings.ts";
import type { Store } from "../store/store.ts";
import type { Monotonic } from "../trust/monotonic.ts";
import type { SteadyClock } from "../trust/steady-clock.ts";
import type { Ender } from "./ender.ts";
import type { Teller } from "./events.ts";

export interface ReconcilerOptions {
  readonly store: Store;
  readonly teller: Teller;
  readonly ender: Ender;
  readonly steady: SteadyClock;
  readonly monotonic: Monotonic;
  readonly tuning: Tuning;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Leases compared before others get a turn. */
const atOnce = 1_000;
const maxRemembered = 10_000;

export class Reconciler {
  readonly #options: ReconcilerOptions;
  /** Strangers by name, since when they are watched. */
  readonly #watched = new Map<string, number>();
  readonly #reported = new Set<string>();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** One round for one resource. @throws OutsideError, CardeaError */
  async reconcile(host: ResourceHost, signal: AbortSignal): Promise<void> {
    const { tuning, clock } = this.#options;
    const begunMs = clock.now();
    const listing = await host.call("listing logins", tuning.listMs, signal, (provider, within) =>
      provider.listOwn(within),
    );
    await this.#reportForged(host, listing);
    for (const own of listing.ours) if (own.what === "login") await this.#explain(host, own, signal);
    await this.#findMissing(host, new Set(listing.ours.map((own) => own.nativeName)), begunMs, signal);
  }

  /** An intent is durable before its login exists, so a login without a lease was none of this store's making, or is on its way out. */
  async #explain(host: ResourceHost, own: OwnObject, signal: AbortSignal): Promise<void> {
    const { store, steady, monotonic, tuning } = this.#options;
    const key = `${host.id} ${own.nativeName}`;
    if (store.names.get([host.id, own.nativeName]) !== undefined) {
      this.#watched.delete(key);
      return;
    }
    const since = this.#watched.get(key) ?? monotonic.nowMs();
    if (this.#watched.size < maxRemembered) this.#watched.set(key, since);
    const expired = own.deadlineMs > 0 && own.deadlineMs <= steady.deadlineMs();
    if (!expired && monotonic.nowMs() - since < tuning.strangerGraceMs) return;
    await this.#remove(host, own, signal);
    this.#watched.delete(key);
  }

  async #remove(host: ResourceHost, own: OwnObject, signal: AbortSignal): Promise<void> {
    const { store, teller, tuning, log } = this.#options;
    const about = { nativeName: own.nativeName, deadline: toTime(own.deadlineMs) };
    log.warn({ resource: host.name, ...about }, "a login that no lease explains is removed");
    // Told before it is done: what was removed can be told from nothing else.
    await store.write(() =>
      teller.spool.event(
        "resource.stranger",
        { outpost: teller.outpost, resource: host.id },
        { ...about, forged: false, removed: true },
      ),
    );
    await host.call("removing a stranger", tuning.endMs, signal, (provider, within) =>
      provider.end(own.nativeName, within),
    );
  }

  async #reportForged(host: ResourceHost, { forged }: Listing): Promise<void> {
    const { store, teller, log } = this.#options;
    for (const nativeName of forged) {
      const key = `${host.id} ${nativeName}`;
      if (this.#reported.has(key) || this.#reported.size >= maxRemembered) continue;
      this.#reported.add(key);
      log.warn(
        { resource: host.name, nativeName },
        "a login has the form of ours, but its mark does not verify; it is left alone",
      );
      await store.write(() =>
        teller.spool.event(
          "resource.stranger",
          { outpost: teller.outpost, resource: host.id },
          { nativeName: nativeName.slice(0, 128), forged: true, removed: false },
        ),
      );
    }
  }

  /** Only what was live before the listing began can be missing from it. */
  async #findMissing(
    host: ResourceHost,
    found: ReadonlySet<string>,
    begunMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { store, ender } = this.#options;
    let from = "";
    for (;;) {
      const part = [...store.names.getRange({ start: [host.id, from], end: [host.id, "~"], limit: atOnce })];
      for (const { key, value } of part) {
        const lease = found.has(key[1]) ? undefined : store.leases.get(value);
        if (lease?.state !== "live" || lease.liveAtMs >= begunMs) continue;
        await ender.endMisused(lease.id, ["the login is not at the resource any more; somebody else removed it"]);
      }
      const last = part.at(-1);
      if (last === undefined || part.length < atOnce || signal.aborted) return;
      from = `${last.key[1]}\0`;
      await turn();
    }
  }
}
