/** The last step of keys and sessions: once nothing is left at the resource they are forgotten. Each runs inside `Store.write`. */
import type { GrantId, SessionId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import type { Clock } from "@cardea/core/lib/clock";
import type { Teller } from "../leases/events.ts";
import { sessionsOf, type EndingKey } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import { tellOver } from "./events.ts";

export interface Settling {
  readonly store: Store;
  readonly teller: Teller;
  readonly clock: Clock;
}

/** A session's login is gone; with the last one of a key that is ending the key goes too. */
export function settleSession(settling: Settling, grant: GrantId, session: SessionId): void {
  const { store } = settling;
  store.sessions.removeSync([grant, session]);
  const key = store.keys.get(grant);
  if (key?.state === "ending") settleKey(settling, key);
}

/** Forgets the key where no session of it is left, and tells whoever asked for that, or else the log. */
export function settleKey({ store, teller, clock }: Settling, key: EndingKey): void {
  if (sessionsOf(store, key.id).length > 0) return;
  store.keys.removeSync(key.id);
  const at = toTime(clock.now());
  if (key.tasks.length === 0) tellOver(teller, key);
  for (const task of key.tasks) teller.spool.receipt(task, { type: "ended", grant: key.id, why: key.why, at });
}
