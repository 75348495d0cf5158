/** Who the people of each grant were at its approval. Written with the grant, in `insertGrant`, and never again. */
import type { GrantId } from "@cardea/core/contract/ids";
import type { Control, Tx } from "../control.ts";

export interface GrantRosterTables {
  grant_rosters: { grant_id: GrantId; document: string };
}

/** As kept then; whoever relies on it verifies it first. */
export async function maybeOneGrantRoster(db: Control["db"] | Tx, id: GrantId): Promise<string | undefined> {
  const row = await db.selectFrom("grant_rosters").select("document").where("grant_id", "=", id).executeTakeFirst();
  return row?.document;
}
