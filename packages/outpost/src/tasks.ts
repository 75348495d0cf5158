/** Hands each task of the control plane to whoever does it. Every task gets a receipt sooner or later, through the spool. */
import type { Logger } from "pino";
import { CardeaError, errors } from "@cardea/core/contract/errors";
import type { Task, TaskResult } from "@cardea/core/wire/link";
import { never } from "@cardea/core/lib/never";
import type { Holds } from "./gateway/holds.ts";
import type { KeyEnder } from "./gateway/key-ender.ts";
import type { Ender } from "./leases/ender.ts";
import type { Issuer } from "./leases/issuer.ts";
import type { Registry } from "./resources/registry.ts";
import type { Runner } from "./runs/runner.ts";
import type { Tuning } from "./settings.ts";
import type { Spool } from "./store/spool.ts";
import type { Store } from "./store/store.ts";

export interface TaskOptions {
  readonly store: Store;
  readonly spool: Spool;
  readonly issuer: Issuer;
  readonly runner: Runner;
  readonly holds: Holds;
  readonly ender: Ender;
  readonly keyEnder: KeyEnder;
  readonly registry: Registry;
  readonly tuning: Tuning;
  readonly log: Logger;
}

export class TaskDesk {
  readonly #options: TaskOptions;
  readonly #running = new Map<Task["id"], Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: TaskOptions) {
    this.#options = options;
  }

  /** Returns at once. A task that is sent again while it is being done is passed over. */
  take(task: Task): void {
    if (task.type === "issue" || task.type === "run") {
      if (task.type === "issue") this.#options.issuer.issue(task);
      else this.#options.runner.run(task);
      return;
    }
    if (this.#running.has(task.id)) return;
    const run = this.#do(task)
      .catch((error: unknown) => {
        // It is sent again to whoever starts next.
        if (!this.#closing.signal.aborted)
          this.#options.log.error({ err: error, task: task.id }, "a task could not be done");
      })
      .finally(() => this.#running.delete(task.id));
    this.#running.set(task.id, run);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#running.values());
  }

  async #do(task: Exclude<Task, { type: "issue" | "run" }>): Promise<void> {
    const { store, spool, holds, runner, ender, keyEnder, registry } = this.#options;
    switch (task.type) {
      case "end":
        if (keyEnder.has(task.grant)) await keyEnder.end(task.grant, task.why, task.id);
        else {
          await runner.end(task.grant, task.why, this.#closing.signal);
          await ender.end(task.id, task.grant, task.why);
        }
        return;
      case "filed":
        holds.filed(task);
        await store.write(() => spool.receipt(task.id, { type: "noted" }));
        return;
      case "settle":
        await holds.settle(task);
        await store.write(() => spool.receipt(task.id, { type: "noted" }));
        return;
      case "preview":
        await this.#answer(task.id, () => this.#preview(task));
        return;
      case "close":
        await keyEnder.closeSession(task.session, task.why);
        await store.write(() => spool.receipt(task.id, { type: "closed" }));
        return;
      case "check":
        await this.#answer(task.id, async () => ({ type: "checked", report: await registry.check(task.resource) }));
        return;
      case "configure": {
        const { authority, sealed } = task;
        await this.#answer(task.id, () => registry.configure(authority, sealed));
        return;
      }
      default:
        never(task);
    }
  }

  async #preview({ resource, action }: Extract<Task, { type: "preview" }>): Promise<TaskResult> {
    const { registry, tuning } = this.#options;
    const host = registry.hostOf(registry.idOf(resource));
    if (host === undefined)
      throw new CardeaError("resource_unknown", `\`${resource}\` is not configured at this outpost`);
    const { signal } = this.#closing;
    const seen = await host.callActions("previewing an action", tuning.previewMs, signal, (actions, within) =>
      actions.preview(action, within),
    );
    return { type: "previewed", ...seen };
  }

  async #answer(task: Task["id"], work: () => Promise<TaskResult>): Promise<void> {
    const { store, spool, registry } = this.#options;
    try {
      const result = await work();
      await store.write(() => spool.receipt(task, result));
    } catch (error) {
      if (!(error instanceof CardeaError)) throw error;
      const { code, message: detail } = error;
      await store.write(() => {
        spool.failure(task, { code, detail, retryable: errors[code].retryable });
        // A row that was forged or put back leaves a trace; rarely, so does a task that is repeated after its successor.
        if (code === "configuration_invalid" || code === "configuration_stale") {
          spool.event("security.refused", { outpost: registry.self }, { what: "configuration", code, detail });
        }
      });
    }
  }
}
