import type { z } from "zod";
import type { EndView } from "@cardea/core/wire/api/grants";
import { CardeaError } from "@cardea/core/contract/errors";
import type { GrantId } from "@cardea/core/contract/ids";
import { EndReason } from "@cardea/core/wire/link";
import type { Actor, Control } from "../control.ts";
import type { StoredGrant } from "../store/grants.ts";
import { transact } from "../store/transaction.ts";
import { endGrantIn } from "./end.ts";
import { isConcerned, seeGrantLocked } from "./see.ts";

/**
 * "I'm done": the requester, or the one an agent acts for, gives a grant back early. Again is as good as once.
 * @throws CardeaError `not_found`, `forbidden` for anybody else's
 */
export async function releaseGrant(control: Control, actor: Actor, id: GrantId): Promise<z.infer<typeof EndView>> {
  const grant = await transact(control, async (tx) => {
    const seen = await seeGrantLocked(tx, control, actor, id);
    if (!isConcerned(seen.request.document, actor.subject))
      throw new CardeaError("forbidden", "only its requester releases a grant; approvers and administrators revoke it");
    return await endGrantIn(tx, control, seen.grant, { why: "released", by: actor.subject });
  });
  return endView(grant);
}

/** What came of ending a grant. */
export function endView(grant: StoredGrant): z.infer<typeof EndView> {
  const why = EndReason.safeParse(grant.why);
  return { grant: grant.id, state: grant.state, ...(why.success && { why: why.data }) };
}
