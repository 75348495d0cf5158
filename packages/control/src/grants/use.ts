import type { GrantId } from "@cardea/core/contract/ids";
import type { Control } from "../control.ts";
import type { StoredGrant } from "../store/grants.ts";
import { sessionCounts, type SessionCounts } from "../store/sessions.ts";

/** How much the keys of gateways among these grants are and were in use. Direct keys are the resource's to count, so they are not in the answer. */
export async function useOf(
  { db }: Pick<Control, "db">,
  grants: readonly StoredGrant[],
): Promise<ReadonlyMap<GrantId, SessionCounts>> {
  const ids = grants.filter(({ signed }) => signed.document.via === "gateway").map(({ id }) => id);
  const counts = await sessionCounts(db, ids);
  return new Map(ids.map((id) => [id, counts.get(id) ?? { open: 0, opened: 0 }]));
}
