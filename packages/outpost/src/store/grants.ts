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
    /** The receipt is given again for the same task; it holds ciphertext only. */
    | { readonly state: "issued"; readonly lease: LeaseId; readonly task: TaskId; readonly receipt: Receipt }
    /** Never to be issued (again); `lease` as long as something of it is left. */
    | { readonly state: "over"; readonly lease?: LeaseId }
  );

/** Past its deadline by so much a grant's record is forgotten: clocks do not differ by it. */
const keepMs = 7 * 86_400_000;
const sweepAtOnce = 1_000;

/** Forgets old grants, a part at a time. Answers with where to go on; `undefined` at the end. */
export async function sweepGrants(store: Store, nowMs: number, after: GrantId | undefined): Promise<GrantId | undefined> {
  const old: GrantId[] = [];
  let last: GrantId | undefined;
  let seen = 0;
  for (const { key, value } of store.grants.getRange({ ...(after === undefined ? {} : { start: after }), limit: sweepAtOnce })) {
    last = key;
    seen++;
    if (value.state === "over" && value.untilMs + keepMs < nowMs) old.push(key);
  }
  if (old.length > 0) await store.write(() => old.forEach((grant) => store.grants.removeSync(grant)));
  return seen < sweepAtOnce ? undefined : last;
}
