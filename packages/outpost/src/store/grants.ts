/** Which grants were used: each is issued once, whatever is sent. Kept beyond the grant's window, after which its evidence is refused anyway. */
import type { GrantId, LeaseId, TaskId } from "@cardea/core/contract/ids";
import type { Receipt } from "@cardea/core/wire/link";
import type { Store } from "./store.ts";

interface GrantCommon {
  /** The grant's deadline, or for one that was never seen, some time ahead. */
  readonly untilMs: number;
}

export type GrantRecord = GrantCommon &
  (
    | { readonly state: "issuing"; readonly lease: LeaseId }
    /** The receipt is given again for the same task; it holds ciphertext only. A gateway's key has no lease. */
    | { readonly state: "issued"; readonly lease?: LeaseId; readonly task: TaskId; readonly receipt: Receipt }
    /** Never to be issued (again); `lease` as long as something of it is left. */
    | { readonly state: "over"; readonly lease?: LeaseId }
  );

/** Past its deadline by so much a grant's record is forgotten: clocks do not differ by it. */
const keepMs = 7 * 86_400_000;
const sweepAtOnce = 1_000;

/** Notes what became of a grant. Inside `Store.write`. */
export function noteGrant(store: Store, grant: GrantId, record: GrantRecord): void {
  store.grants.putSync(grant, record);
  if (record.state === "over") store.over.putSync([record.untilMs, grant], true);
}

/** Forgets grants that are long over, so many at a time. Says whether there are more. */
export async function sweepGrants(store: Store, nowMs: number): Promise<boolean> {
  const old = [...store.over.getKeys({ start: [0, ""], end: [nowMs - keepMs, ""], limit: sweepAtOnce })];
  if (old.length === 0) return false;
  await store.write(() => {
    for (const [untilMs, grant] of old) {
      store.over.removeSync([untilMs, grant]);
      store.grants.removeSync(grant);
      store.runs.removeSync(grant);
    }
  });
  return old.length === sweepAtOnce;
}
