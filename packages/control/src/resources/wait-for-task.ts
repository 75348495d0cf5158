import type { TaskId } from "@cardea/core/contract/ids";
import type { Control } from "../control.ts";
import { maybeOneTask, type StoredTask } from "../store/tasks.ts";

const defaultWaitMs = 10_000;
const pollMs = 1_000;

/** The task once it is closed; `undefined` where that took longer: ten seconds unless said otherwise. */
export async function waitForTask(
  control: Control,
  id: TaskId,
  waitMs = defaultWaitMs,
): Promise<StoredTask | undefined> {
  const late = AbortSignal.timeout(waitMs);
  for (;;) {
    // Waiting begins before looking, so that no hint falls between the two.
    const hint = control.wake.wait("tasks", pollMs, late);
    const task = await maybeOneTask(control.db, id);
    if (task !== undefined && task.state !== "open") return task;
    if (late.aborted) return undefined;
    await hint;
  }
}
