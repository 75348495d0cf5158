/**
 * Every change of the control plane runs in `transact`: state, audit entry and follow-up work commit together or not at all. What
 * must happen only after the commit (hints to whoever waits) is handed to `afterCommit` and never runs for a change that was undone.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Control, Tx } from "../control.ts";
import { databaseFault } from "./connection.ts";

const retryableStates = new Set(["40001", "40P01"]);
const maxAttempts = 6;

/** What a transaction is still to do. */
interface Hooks {
  readonly before: (() => Promise<void>)[];
  readonly after: (() => void)[];
}

const hooks = new WeakMap<Tx, Hooks>();

/** Runs `task` as the last thing inside the transaction, in the order of asking. @throws TypeError outside of `transact`. */
export function beforeCommit(tx: Tx, task: () => Promise<void>): void {
  hooksOf(tx).before.push(task);
}

/** Runs `task` once the transaction has committed. @throws TypeError outside of `transact`. */
export function afterCommit(tx: Tx, task: () => void): void {
  hooksOf(tx).after.push(task);
}

function hooksOf(tx: Tx): Hooks {
  const found = hooks.get(tx);
  if (found === undefined) throw new TypeError("the transaction was not begun by `transact`");
  return found;
}

/**
 * Runs `work` in one transaction (read committed; rows that decide are locked by it). Runs it again where the server has undone it for a
 * deadlock or a serialization failure, so `work` must have no effect but through `tx`.
 * @throws CardeaError `database_unavailable` where the database is away; a commit whose answer was lost is not repeated
 */
export async function transact<T>(control: Pick<Control, "db" | "random">, work: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const own: Hooks = { before: [], after: [] };
    try {
      const result = await control.db.transaction().execute(async (tx) => {
        hooks.set(tx, own);
        const done = await work(tx);
        for (const task of own.before) await task();
        return done;
      });
      for (const task of own.after) task();
      return result;
    } catch (error) {
      if (attempt === maxAttempts || !isUndone(error)) throw databaseFault(error) ?? error;
      await sleep(backoffMs(attempt, control));
    }
  }
}

function isUndone(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && retryableStates.has(error.code);
}

/** Up to 2, 4, 8 … milliseconds, at random, so that two that collided do not collide again. */
function backoffMs(attempt: number, { random }: Pick<Control, "random">): number {
  const [byte = 0] = random.bytes(1);
  return Math.ceil((2 ** attempt * byte) / 256);
}
