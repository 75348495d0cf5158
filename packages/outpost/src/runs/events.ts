/** What is told of runs beside their receipts. Each runs inside the `Store.write` of the step that it tells of. */
import type { RunResolved } from "@cardea/core/wire/action-events";
import type { Teller } from "../leases/events.ts";
import type { RunningRun, SettledRun } from "../store/runs.ts";

export function tellStarted(
  { spool, outpost }: Teller,
  { id: run, grant, resource, session, trace }: RunningRun,
): void {
  const ids = { outpost, resource, grant, run, ...(session !== undefined && { session }) };
  spool.event("run.started", ids, trace === undefined ? {} : { trace });
}

/** It was called unknown before. */
export function tellResolved(
  { spool, outpost }: Teller,
  { id: run, grant }: SettledRun,
  outcome: RunResolved["outcome"],
): void {
  spool.event("run.resolved", { outpost, grant, run }, { outcome } satisfies RunResolved);
}
