/**
 * Places at which a torture run can stop this process to kill it: between any two effects of issuing, ending and running. Switched on by the
 * environment alone (`CARDEA_TORTURE=1` and `CARDEA_PAUSE_AT=lease.created,…`), so that what is tested is what ships; otherwise each is an
 * awaited constant. A name followed by `#3` stops the third time it is reached.
 */
import { pauseAt } from "./system.ts";

/** In the order in which a key's grant meets them, then an action's. */
export const pausePoints = [
  "issue.verified",
  "lease.intended",
  "lease.created",
  "lease.sealed",
  "lease.live",
  "receipt.sent",
  "end.recorded",
  "end.called",
  "lease.ended",
  "lease.gone",
  "run.intended",
  "run.lent",
  "run.running",
  "run.ran",
  "run.settled",
] as const;
export type PausePoint = (typeof pausePoints)[number];

const waits = readWaits(pauseAt);
const reached = new Map<string, number>();

/** Returns at once, unless this point was named: then it says so on standard error and never returns. */
export async function pausePoint(name: PausePoint): Promise<void> {
  if (waits === undefined) return;
  const count = (reached.get(name) ?? 0) + 1;
  reached.set(name, count);
  if (waits.get(name) !== count) return;
  process.stderr.write(`paused at ${name}\n`);
  await new Promise<never>(() => undefined);
}

function readWaits(names: string | undefined): ReadonlyMap<string, number> | undefined {
  if (names === undefined) return undefined;
  return new Map(
    names.split(",").map((entry): [string, number] => {
      const [name = "", count = "1"] = entry.trim().split("#");
      return [name, Number(count)];
    }),
  );
}
