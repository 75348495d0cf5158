/**
 * Finds out what came of runs whose end nobody saw: a crash, a broken connection. Their logins go first, so that nothing of them runs on; then the
 * resource is asked. What it cannot say (yet) is told as unknown after a while, and asked about again and again. Never runs anything.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { GrantId, ResourceId } from "@cardea/core/contract/ids";
import type { Random } from "@cardea/core/lib/random";
import { backoffMs } from "../jitter.ts";
import type { Ender } from "../leases/ender.ts";
import type { ResourceHost } from "../resources/host.ts";
import type { Tuning } from "../settings.ts";
import { openRuns } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import type { Monotonic } from "../trust/monotonic.ts";
import type { RunBook } from "./run-book.ts";

export interface ResolverOptions {
  readonly store: Store;
  readonly book: RunBook;
  readonly ender: Ender;
  readonly hostFor: (resource: ResourceId) => ResourceHost;
  readonly monotonic: Monotonic;
  readonly tuning: Tuning;
  readonly random: Random;
  readonly log: Logger;
}

const neverSent = {
  outcome: "failed",
  error: { code: "cancelled", message: "the outpost stopped before it was sent, so it did not run; ask again" },
} as const;

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #running = new Map<GrantId, Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: ResolverOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier process left: what it had not sent did not happen. */
  async start(): Promise<void> {
    const { store, book, ender } = this.#options;
    const open = await store.write(() => {
      const found = openRuns(store);
      for (const { state, lease, grant } of found) {
        ender.beginLogin(lease, "spent");
        if (state === "intended") book.settle(grant, neverSent);
      }
      return found;
    });
    for (const { state, grant } of open) if (state !== "intended") this.take(grant);
  }

  /** Finds out about a run, in time. Returns at once. */
  take(grant: GrantId): void {
    if (this.#running.has(grant) || this.#closing.signal.aborted) return;
    const work = this.#resolve(grant)
      .catch((error: unknown) => {
        if (!this.#closing.signal.aborted)
          this.#options.log.error({ err: error, grant }, "what came of a run could not be found out");
      })
      .finally(() => this.#running.delete(grant));
    this.#running.set(grant, work);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#running.values());
  }

  async #resolve(grant: GrantId): Promise<void> {
    const { store, book, ender, monotonic, tuning, random } = this.#options;
    const { signal } = this.#closing;
    const begunMs = monotonic.nowMs();
    await store.write(() => {
      const run = store.runs.get(grant);
      if (run !== undefined) ender.beginLogin(run.lease, "spent");
    });
    ender.poke();
    for (let attempts = 0; !signal.aborted; attempts++) {
      const run = store.runs.get(grant);
      if (run?.state !== "running" && run?.state !== "unknown") return;
      const found = await this.#look(run);
      const late = run.trace === undefined || monotonic.nowMs() - begunMs >= tuning.resolveMs;
      if (found !== "unknown" || (late && run.state === "running"))
        await store.write(() => book.settle(grant, { outcome: found }));
      if (found !== "unknown" || run.trace === undefined) return;
      await sleep(backoffMs(tuning.resolveRetryMs, attempts, random), undefined, { signal, ref: false });
    }
  }

  /** `unknown` also where the resource cannot be asked now. */
  async #look({
    lease,
    resource,
    trace,
  }: {
    readonly lease: Parameters<Ender["finished"]>[0];
    readonly resource: ResourceId;
    readonly trace?: string;
  }): Promise<"done" | "failed" | "unknown"> {
    const { ender, hostFor, tuning, log } = this.#options;
    const { signal } = this.#closing;
    if (trace === undefined) return "unknown";
    // As long as its login is there, it may still be running.
    if (!(await ender.finished(lease, AbortSignal.any([signal, AbortSignal.timeout(tuning.endMs)])))) return "unknown";
    try {
      return await hostFor(resource).callActions(
        "looking what came of a run",
        tuning.inspectMs,
        signal,
        (actions, within) => actions.resolve(trace, within),
      );
    } catch (error) {
      log.warn({ err: error, resource }, "the resource could not be asked what came of a run; it is asked again");
      return "unknown";
    }
  }
}
