import type { GrantView } from "@cardea/core/wire/api/grants";
import type { GrantId } from "@cardea/core/contract/ids";
import { reportingAlterations } from "../audit/altered.ts";
import type { Actor, Control } from "../control.ts";
import { seeGrant } from "./see.ts";
import { useOf } from "./use.ts";
import { grantView } from "./view.ts";

/** One grant. @throws CardeaError `not_found`, also for what the caller may not see; `evidence_signature` where it was altered in the database */
export async function showGrant(control: Control, actor: Actor, id: GrantId): Promise<GrantView> {
  const { grant, roster } = await reportingAlterations(control, seeGrant(control, actor, id));
  return grantView(roster, grant, (await useOf(control, [grant])).get(grant.id));
}
