/**
 * Sends an outpost its tasks over one connection: takes due ones from the table, assembles evidence at the moment of sending, and keeps the
 * number of unreceipted ones bounded. What is not receipted within a minute comes up again.
 */
import type { GrantId, OutpostId, TaskId } from "@cardea/core/contract/ids";
import type { Consistency, FromControl, Task } from "@cardea/core/wire/link";
import type { Evidence } from "@cardea/core/documents/evidence";
import { toTime } from "@cardea/core/documents/primitives";
import { parseCheckpoint } from "@cardea/core/log/checkpoint";
import type { Control } from "../control.ts";
import { proveGrowth } from "../audit/proofs.ts";
import { assembleEvidence } from "../evidence/assemble.ts";
import { maybeOneNextTaskTime, postponeTask, resendTasks, takeTasks, type TakenTask } from "../store/tasks.ts";

/** Tasks sent and not receipted. */
const windowSize = 64;
const againMs = 60_000;
/** The truth is polled at least as often; hints only make it faster. */
const pollMs = 2_000;
const retryMs = 1_000;
/** For so long evidence is waited for in memory; then the task is put back. */
const evidenceMs = 20_000;

export interface TaskWire {
  send(message: FromControl): void;
  /** Whether the socket has more to send than it should. */
  congested(): boolean;
  /** Shared with the connection: what the outpost has of the log. */
  readonly seen: { checkpointSize: number; sincePing: boolean };
}

export class TaskSender {
  readonly #control: Control;
  readonly #outpost: OutpostId;
  readonly #wire: TaskWire;
  readonly #unreceipted = new Set<TaskId>();
  /** Taken, and waiting for the log to cover their grant. */
  readonly #waiting = new Map<TaskId, { readonly grant: GrantId; readonly sinceMs: number }>();
  #started = false;
  #closing = false;
  #running: Promise<void> | undefined;
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #chain: Promise<void> = Promise.resolve();

  constructor(control: Control, outpost: OutpostId, wire: TaskWire) {
    this.#control = control;
    this.#outpost = outpost;
    this.#wire = wire;
  }

  /** Begins, with everything that an older link may have been sent. Idempotent. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#running = resendTasks(this.#control.db, this.#outpost, toTime(this.#control.clock.now()))
      .catch((error: unknown) => this.#fault(error))
      .then(() => this.#runSoon());
  }

  /** Something may be due. Returns at once. */
  poke(): void {
    if (!this.#started || this.#closing) return;
    this.#again = true;
    if (this.#running === undefined) this.#runSoon();
  }

  /** The log covers more now. A run under way may have looked just before. */
  logGrew(): void {
    if (this.#waiting.size > 0 || this.#running !== undefined) this.poke();
  }

  receipted(task: TaskId): void {
    const full = this.#unreceipted.size >= windowSize;
    this.#unreceipted.delete(task);
    if (full) this.poke();
  }

  /** Runs work that reads and moves `seen`, one after the other. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#chain.then(work);
    this.#chain = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  async close(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#timer);
    await this.#running;
    await this.#chain;
  }

  #runSoon(): void {
    this.#running = undefined;
    if (this.#closing) return;
    clearTimeout(this.#timer);
    this.#again = false;
    this.#running = this.#run()
      .catch((error: unknown) => {
        this.#fault(error);
        return retryMs;
      })
      .then((sleepMs) => {
        this.#running = undefined;
        if (this.#closing) return;
        if (this.#again) this.#runSoon();
        else this.#timer = setTimeout(() => this.#runSoon(), sleepMs);
      });
  }

  /** Sends what can be sent. Answers with how long to sleep where no hint comes. */
  async #run(): Promise<number> {
    await this.#sendWaiting();
    while (!this.#wire.congested() && this.#unreceipted.size < windowSize) {
      const now = this.#control.clock.now();
      const taken = await takeTasks(this.#control.db, this.#outpost, toTime(now), toTime(now + againMs), windowSize - this.#unreceipted.size);
      if (taken.length === 0) return await this.#untilNext(now);
      for (const task of taken) this.#unreceipted.add(task.id);
      await Promise.all(taken.map((task) => this.#sendTask(task)));
    }
    return pollMs;
  }

  async #untilNext(nowMs: number): Promise<number> {
    const next = await maybeOneNextTaskTime(this.#control.db, this.#outpost);
    return next === undefined ? pollMs : Math.min(pollMs, Math.max(1, Date.parse(next) - nowMs));
  }

  async #sendTask({ id, task }: TakenTask): Promise<void> {
    // Without evidence a waiting task is what is sent, but for its id; a spread forgets which of the kinds it was.
    if (task.type !== "issue") this.#wire.send({ kind: "task", task: { ...task, id } as Task });
    else if (!(await this.#sendIssue(id, task.grant))) this.#waiting.set(id, { grant: task.grant, sinceMs: this.#control.clock.now() });
  }

  async #sendWaiting(): Promise<void> {
    const now = this.#control.clock.now();
    await Promise.all(
      [...this.#waiting].map(async ([id, { grant, sinceMs }]) => {
        const sent = await this.#sendIssue(id, grant);
        if (!sent && now - sinceMs < evidenceMs) return;
        this.#waiting.delete(id);
        if (!sent) await this.#postpone(id);
      }),
    );
  }

  /** `false` while the log does not cover the grant yet. */
  async #sendIssue(id: TaskId, grant: GrantId): Promise<boolean> {
    try {
      const evidence = await assembleEvidence(this.#control, grant);
      if (evidence === undefined) return false;
      await this.exclusive(async () => {
        const consistency = await this.#joining(evidence);
        this.#wire.send({ kind: "task", task: { type: "issue", id, grant, evidence, ...(consistency !== undefined && { consistency }) } });
      });
    } catch (error) {
      this.#fault(error);
      await this.#postpone(id);
    }
    return true;
  }

  /** Proves that the evidence's checkpoint and the one that the outpost has seen are of one log, whichever is the newer. */
  async #joining({ log }: Evidence): Promise<Consistency | undefined> {
    const checkpoint = parseCheckpoint(log.checkpoint.slice(0, log.checkpoint.indexOf("\n\n") + 1));
    if (!checkpoint.ok) return undefined;
    const { seen } = this.#wire;
    const [from, to] = [Math.min(seen.checkpointSize, checkpoint.value.size), Math.max(seen.checkpointSize, checkpoint.value.size)];
    seen.checkpointSize = to;
    seen.sincePing = true;
    if (from === 0 || from === to) return undefined;
    const hashes = await proveGrowth(this.#control, { note: log.checkpoint, checkpoint: { ...checkpoint.value, size: to } }, from);
    return hashes === undefined ? undefined : { from, hashes };
  }

  async #postpone(id: TaskId): Promise<void> {
    this.#unreceipted.delete(id);
    await postponeTask(this.#control.db, id, toTime(this.#control.clock.now() + retryMs)).catch((error: unknown) => this.#fault(error));
  }

  #fault(error: unknown): void {
    this.#control.log.error({ err: error, outpost: this.#outpost }, "tasks could not be sent");
  }
}
