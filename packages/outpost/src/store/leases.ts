/**
 * Leases as the outpost keeps them. A lease that is gone is not here any more. Changes run inside `Store.write`; each keeps the record, its
 * place in the order of what is due, and the counts together.
 */
import type { GrantId, LeaseId, ResourceId, SessionId, TaskId } from "@cardea/core/contract/ids";
import type { EndReason, LeaseCounts } from "@cardea/core/wire/link";
import { canMove } from "@cardea/core/lifecycle/states";
import type { Store } from "./store.ts";

interface LeaseCommon {
  readonly id: LeaseId;
  readonly grant: GrantId;
  readonly resource: ResourceId;
  readonly nativeName: string;
  readonly deadlineMs: number;
  /** The session through a gateway that it was made for: it ends with that, and its grant goes on. */
  readonly session?: SessionId;
}

/** Durable before the login is made; whoever finds one that nobody works on ends it. */
export type IntendedLease = LeaseCommon & { readonly state: "intended" };
export type LiveLease = LeaseCommon & { readonly state: "live"; readonly liveAtMs: number };
export type EndingLease = LeaseCommon & {
  readonly state: "ending";
  readonly why: EndReason;
  /** Whether the grant is over with it; not so for what a failed attempt to issue left behind. */
  readonly over: boolean;
  /** Receipted once the lease is gone. */
  readonly tasks: readonly TaskId[];
  readonly attempts: number;
  readonly nextAttemptMs: number;
  readonly stuck: boolean;
};
export type LeaseRecord = IntendedLease | LiveLease | EndingLease;

const countsFact = "lease-counts";
const noCounts: LeaseCounts = { live: 0, ending: 0, stuck: 0 };

/** When something is to be done about it; an intent that nobody works on, at once. */
function dueMs(lease: LeaseRecord): number {
  switch (lease.state) {
    case "intended":
      return 0;
    case "live":
      return lease.deadlineMs;
    case "ending":
      return lease.nextAttemptMs;
  }
}

export function leaseCounts(store: Store): LeaseCounts {
  // Written by `count` alone.
  return (store.facts.get(countsFact) as LeaseCounts | undefined) ?? noCounts;
}

/** Adds an intent. */
export function addLease(store: Store, lease: IntendedLease): void {
  if (store.leases.get(lease.id) !== undefined) throw new TypeError(`lease \`${lease.id}\` exists`);
  store.leases.putSync(lease.id, lease);
  store.due.putSync([lease.resource, dueMs(lease), lease.id], true);
  store.names.putSync([lease.resource, lease.nativeName], lease.id);
}

/** Replaces what the caller has just read in the same transaction. @throws TypeError for a step that the table of states does not have */
export function changeLease(store: Store, before: LeaseRecord, after: LeaseRecord): void {
  if (before.state !== after.state && !canMove("lease", before.state, after.state)) {
    throw new TypeError(`a lease does not go from \`${before.state}\` to \`${after.state}\``);
  }
  store.leases.putSync(after.id, after);
  if (dueMs(before) !== dueMs(after)) {
    store.due.removeSync([before.resource, dueMs(before), before.id]);
    store.due.putSync([after.resource, dueMs(after), after.id], true);
  }
  count(store, before, after);
}

/** Forgets a lease that is gone. */
export function removeLease(store: Store, lease: EndingLease): void {
  store.leases.removeSync(lease.id);
  store.due.removeSync([lease.resource, dueMs(lease), lease.id]);
  store.names.removeSync([lease.resource, lease.nativeName]);
  count(store, lease, undefined);
}

/** Leases of a resource about which something is to be done by `nowMs`, longest due first. Lazy: the caller stops when it has enough. */
export function dueLeases(store: Store, resource: ResourceId, nowMs: number): Iterable<LeaseId> {
  // Arrays compare element by element, and no lease sorts behind the next millisecond.
  return store.due
    .getKeys({ start: [resource, 0], end: [resource, nowMs + 1], snapshot: false })
    .map(([, , lease]) => lease);
}

/** When the next lease of a resource is due. */
export function nextDueMs(store: Store, resource: ResourceId): number | undefined {
  for (const [, due] of store.due.getKeys({ start: [resource, 0], end: [resource, Number.MAX_SAFE_INTEGER], limit: 1 }))
    return due;
  return undefined;
}

/** Resources that have leases, configured or not. */
export function resourcesWithLeases(store: Store): ResourceId[] {
  const found: ResourceId[] = [];
  let from: [string, number] = ["", 0];
  for (;;) {
    const [next] = [...store.due.getKeys({ start: from, limit: 1 })];
    if (next === undefined) return found;
    found.push(next[0]);
    from = [next[0], Number.MAX_SAFE_INTEGER];
  }
}

function count(store: Store, before: LeaseRecord, after: LeaseRecord | undefined): void {
  const counts = { ...leaseCounts(store) };
  const add = (lease: LeaseRecord | undefined, by: number): void => {
    if (lease === undefined || lease.state === "intended") return;
    counts[lease.state] += by;
    if (lease.state === "ending" && lease.stuck) counts.stuck += by;
  };
  add(before, -1);
  add(after, 1);
  store.facts.putSync(countsFact, counts);
}
