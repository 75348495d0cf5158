import { timeMs } from "@cardea/core/documents/primitives";
import type { StoredOutpost } from "../store/outposts.ts";

/** Whether its link is up, as far as the last sign of life says. */
export function isConnected(outpost: StoredOutpost | undefined, nowMs: number): boolean {
  return outpost?.connectionUntil !== undefined && timeMs(outpost.connectionUntil) > nowMs;
}
