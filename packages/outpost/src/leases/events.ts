/** What is told of leases. Each runs inside the `Store.write` of the step that it tells of. */
import type { OutpostId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import type { EndingLease, LeaseRecord } from "../store/leases.ts";
import type { Spool } from "../store/spool.ts";

export interface Teller {
  readonly spool: Spool;
  readonly outpost: OutpostId;
}

function idsOf({ outpost }: Teller, { id: lease, resource, grant, session }: LeaseRecord): Record<string, string> {
  return { outpost, resource, grant, lease, ...(session !== undefined && { session }) };
}

export function tellLease(teller: Teller, type: "lease.intended" | "lease.live", lease: LeaseRecord): void {
  teller.spool.event(type, idsOf(teller, lease), { nativeName: lease.nativeName, deadline: toTime(lease.deadlineMs) });
}

export function tellEnding(teller: Teller, lease: EndingLease): void {
  teller.spool.event("lease.ending", idsOf(teller, lease), {
    nativeName: lease.nativeName,
    why: lease.why,
    over: lease.over,
  });
}

/** With `over` the grant ends with it, also where nobody had asked for that. */
export function tellGone(teller: Teller, lease: EndingLease, closedSessions: number): void {
  teller.spool.event("lease.gone", idsOf(teller, lease), {
    nativeName: lease.nativeName,
    why: lease.why,
    over: lease.over,
    closedSessions,
  });
}

export function tellStuck(teller: Teller, lease: EndingLease, code: string, detail: string): void {
  teller.spool.event("lease.stuck", idsOf(teller, lease), {
    nativeName: lease.nativeName,
    attempts: lease.attempts,
    code,
    detail: detail.slice(0, 1_000),
  });
}

export function tellMisuse(teller: Teller, lease: LeaseRecord, what: readonly string[]): void {
  teller.spool.event("lease.misused", idsOf(teller, lease), {
    nativeName: lease.nativeName,
    what: what.slice(0, 50).map((one) => one.slice(0, 500)),
    detail: what.join("; ").slice(0, 1_000),
  });
}
