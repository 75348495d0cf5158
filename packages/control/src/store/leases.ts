/** Leases as outposts report them. An outpost's own store is the truth; these rows are for showing. */
import type { Generated, Selectable } from "kysely";
import type { GrantId, LeaseId, OutpostId } from "@cardea/core/contract/ids";
import type { Time } from "@cardea/core/documents/primitives";
import type { LeaseState } from "@cardea/core/lifecycle/states";
import type { Tx } from "../control.ts";

interface LeasesTable {
  id: LeaseId;
  grant_id: GrantId;
  outpost: OutpostId;
  state: LeaseState;
  previous_state: LeaseState | null;
  native_name: string | null;
  stuck: Generated<boolean>;
  detail: string | null;
  changed_at: Time;
}

export interface LeaseTables {
  leases: LeasesTable;
}

export interface StoredLease {
  readonly id: LeaseId;
  readonly grant: GrantId;
  readonly outpost: OutpostId;
  readonly state: LeaseState;
  readonly nativeName: string | undefined;
  readonly stuck: boolean;
  readonly detail: string | undefined;
}

/** The lease, locked; created as `intended` where it is new. */
export async function oneLeaseLocked(
  tx: Tx,
  lease: { readonly id: LeaseId; readonly grant: GrantId; readonly outpost: OutpostId; readonly at: Time },
): Promise<StoredLease> {
  await tx
    .insertInto("leases")
    .values({ id: lease.id, grant_id: lease.grant, outpost: lease.outpost, state: "intended", changed_at: lease.at })
    .onConflict((conflict) => conflict.column("id").doNothing())
    .execute();
  const row = await tx
    .selectFrom("leases")
    .selectAll()
    .where("id", "=", lease.id)
    .forUpdate()
    .executeTakeFirstOrThrow();
  return storedLease(row);
}

/** Notes a new lease that is live already, in one statement; `false` where it was noted before, which is then left as it is. */
export async function insertLiveLease(
  tx: Tx,
  lease: {
    readonly id: LeaseId;
    readonly grant: GrantId;
    readonly outpost: OutpostId;
    readonly nativeName: string | undefined;
    readonly at: Time;
  },
): Promise<boolean> {
  const inserted = await tx
    .insertInto("leases")
    .values({
      id: lease.id,
      grant_id: lease.grant,
      outpost: lease.outpost,
      state: "live",
      previous_state: "intended",
      native_name: lease.nativeName ?? null,
      changed_at: lease.at,
    })
    .onConflict((conflict) => conflict.column("id").doNothing())
    .returning("id")
    .executeTakeFirst();
  return inserted !== undefined;
}

export async function changeLease(
  tx: Tx,
  id: LeaseId,
  change: {
    readonly state?: LeaseState;
    readonly native_name?: string;
    readonly stuck?: boolean;
    readonly detail?: string | null;
    readonly changed_at: Time;
  },
): Promise<void> {
  await tx.updateTable("leases").set(change).where("id", "=", id).execute();
}

function storedLease(row: Selectable<LeasesTable>): StoredLease {
  return {
    id: row.id,
    grant: row.grant_id,
    outpost: row.outpost,
    state: row.state,
    nativeName: row.native_name ?? undefined,
    stuck: row.stuck,
    detail: row.detail ?? undefined,
  };
}
