/** Hands each task of the control plane to whoever does it. Every task gets a receipt sooner or later, through the spool. */
import type { Logger } from "pino";
import { CardeaError, errors } from "@cardea/core/contract/errors";
import type { Task, TaskResult } from "@cardea/core/wire/link";
import { never } from "@cardea/core/lib/never";
import type { KeyEnder } from "./gateway/key-ender.ts";
import type { Ender } from "./leases/ender.ts";
import type { Issuer } from "./leases/issuer.ts";
import type { Registry } from "./resources/registry.ts";
import type { Spool } from "./store/spool.ts";
import type { Store } from "./store/store.ts";

export interface TaskOptions {
  readonly store: Store;
  readonly spool: Spool;
  readonly issuer: Issuer;
  readonly ender: Ender;
  readonly keyEnder: KeyEnder;
  readonly registry: Registry;
  readonly log: Logger;
}

export class TaskDesk {
  readonly #options: TaskOptions;
  readonly #running = new Map<Task["id"], Promise<void>>();

  constructor(options: TaskOptions) {
    this.#options = options;
  }

  /** Returns at once. A task that is sent again while it is being done is passed over. */
  take(task: Task): void {
    if (task.type === "issue") {
      this.#options.issuer.issue(task);
      return;
    }
    if (this.#running.has(task.id)) return;
    const run = this.#do(task)
      .catch((error: unknown) => this.#options.log.error({ err: error, task: task.id }, "a task could not be done"))
      .finally(() => this.#running.delete(task.id));
    this.#running.set(task.id, run);
  }

  async close(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  async #do(task: Exclude<Task, { type: "issue" }>): Promise<void> {
    const { store, spool, ender, keyEnder, registry } = this.#options;
    switch (task.type) {
      case "end":
        if (keyEnder.has(task.grant)) await keyEnder.end(task.grant, task.why, task.id);
        else await ender.end(task.id, task.grant, task.why);
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
