/**
 * Sends an outpost its tasks over one connection: takes due ones from the table, waits until the log covers what an issue rests on, assembles the
 * evidence at the moment of sending, and keeps the number of unreceipted ones bounded. What is not receipted within a minute comes up again.
 */
import type { GrantId, OutpostId, TaskId } from "@cardea/core/contract/ids";
import type { Consistency, FromControl, Task } from "@cardea/core/wire/link";
import type { Evidence } from "@cardea/core/documents/evidence";
import { timeMs, toTime } from "@cardea/core/documents/primitives";
import { parseCheckpoint } from "@cardea/core/log/checkpoint";
import type { Control } from "../control.ts";
import { proveGrowth } from "../audit/proofs.ts";
import { assembleEvidence } from "../evidence/assemble.ts";
import {
  manyLoggedGrants,
  maybeOneNextTaskTime,
  postponeTask,
  resendTasks,
  takeTasks,
  type TakenTask,
} from "../store/tasks.ts";

/** Tasks sent and not receipted. */
const windowSize = 64;
const againMs = 60_000;
/** The truth is polled at least as often; hints only make it faster. */
const pollMs = 2_000;
const retryMs = 1_000;
/** For so long an issue waits in memory for the log; then its task is put back. */
const coverMs = 20_000;

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
  /** Since when each is out. */
  readonly #unreceipted = new Map<TaskId, number>();
  /** Taken, and waiting for the log to cover their grant. */
  readonly #waiting = new Map<
    TaskId,
    { readonly type: "issue" | "run"; readonly grant: GrantId; readonly sinceMs: number }
  >();
  #started = false;
  #closing = false;
  #running: Promise<void> | undefined;
  /** What a hint said while a run was under way. */
  #again = false;
  /** Whether there may be tasks that nobody has taken; the log's hints concern only those taken. */
  #mayBeDue = true;
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

  /** Tasks may be due. Returns at once. */
  poke(): void {
    this.#mayBeDue = true;
    this.#wake();
  }

  /** The log covers more now. A run under way may have looked just before. */
  logGrew(): void {
    if (this.#waiting.size > 0 || this.#running !== undefined) this.#wake();
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

  #wake(): void {
    if (!this.#started || this.#closing) return;
    this.#again = true;
    if (this.#running === undefined) this.#runSoon();
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
        else this.#timer = setTimeout(() => this.#onTimer(), sleepMs);
      });
  }

  #onTimer(): void {
    const tooOld = this.#control.clock.now() - againMs;
    for (const [task, sinceMs] of this.#unreceipted) if (sinceMs < tooOld) this.#unreceipted.delete(task);
    this.#mayBeDue = true;
    this.#runSoon();
  }

  /** Sends what can be sent. Answers with how long to sleep where no hint comes. */
  async #run(): Promise<number> {
    let sleepMs = pollMs;
    while (this.#mayBeDue && !this.#wire.congested() && this.#unreceipted.size < windowSize) {
      this.#mayBeDue = false;
      const now = this.#control.clock.now();
      const room = windowSize - this.#unreceipted.size;
      const taken = await takeTasks(this.#control.db, this.#outpost, toTime(now), toTime(now + againMs), room);
      for (const task of taken) this.#begin(task, now);
      if (taken.length === room) this.#mayBeDue = true;
      // Only where there was nothing to do it is worth a question when there will be.
      else if (taken.length === 0) sleepMs = await this.#untilNext(now);
    }
    await this.#sendCovered();
    return sleepMs;
  }

  #begin({ id, task }: TakenTask, nowMs: number): void {
    this.#unreceipted.set(id, nowMs);
    // Without evidence a waiting task is what is sent, but for its id; a spread forgets which of the kinds it was.
    if (task.type !== "issue" && task.type !== "run") this.#wire.send({ kind: "task", task: { ...task, id } as Task });
    else this.#waiting.set(id, { ...task, sinceMs: nowMs });
  }

  async #untilNext(nowMs: number): Promise<number> {
    const next = await maybeOneNextTaskTime(this.#control.db, this.#outpost);
    return next === undefined ? pollMs : Math.min(pollMs, Math.max(1, timeMs(next) - nowMs));
  }

  async #sendCovered(): Promise<void> {
    if (this.#waiting.size === 0) return;
    const now = this.#control.clock.now();
    const waiting = [...this.#waiting];
    const logged = await manyLoggedGrants(
      this.#control.db,
      waiting.map(([, { grant }]) => grant),
    );
    await Promise.all(
      waiting.map(async ([id, { type, grant, sinceMs }]) => {
        const sent = logged.has(grant) && (await this.#sendWithEvidence(type, id, grant));
        if (sent) this.#waiting.delete(id);
        else if (now - sinceMs > coverMs) await this.#postpone(id);
      }),
    );
  }

  /** `false` where no head covers the grant yet. */
  async #sendWithEvidence(type: "issue" | "run", id: TaskId, grant: GrantId): Promise<boolean> {
    try {
      const evidence = await assembleEvidence(this.#control, grant, "issue");
      if (evidence === undefined) return false;
      await this.exclusive(async () => {
        const consistency = await this.#joining(evidence);
        this.#wire.send({
          kind: "task",
          task: { type, id, grant, evidence, ...(consistency !== undefined && { consistency }) },
        });
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
    const [from, to] = [
      Math.min(seen.checkpointSize, checkpoint.value.size),
      Math.max(seen.checkpointSize, checkpoint.value.size),
    ];
    seen.checkpointSize = to;
    seen.sincePing = true;
    if (from === 0 || from === to) return undefined;
    const hashes = await proveGrowth(
      this.#control,
      { note: log.checkpoint, checkpoint: { ...checkpoint.value, size: to } },
      from,
    );
    return hashes === undefined ? undefined : { from, hashes };
  }

  async #postpone(id: TaskId): Promise<void> {
    this.#unreceipted.delete(id);
    this.#waiting.delete(id);
    await postponeTask(this.#control.db, id, toTime(this.#control.clock.now() + retryMs)).catch((error: unknown) =>
      this.#fault(error),
    );
  }

  #fault(error: unknown): void {
    this.#control.log.error({ err: error, outpost: this.#outpost }, "tasks could not be sent");
  }
}
