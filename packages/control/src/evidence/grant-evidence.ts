import { CardeaError } from "@cardea/core/contract/errors";
import type { RequestId } from "@cardea/core/contract/ids";
import type { Evidence } from "@cardea/core/documents/evidence";
import type { Actor, Control } from "../control.ts";
import { showRequest } from "../requests/show.ts";
import { assembleEvidence } from "./assemble.ts";

/**
 * The evidence file of a request's grant, for whoever may see the request.
 * @throws CardeaError `not_found`, `request_pending` while there is no grant or the log does not cover it yet, `request_not_pending` where
 * there never will be one; `log_rolled_back`, `evidence_signature`, `evidence_roster`, `evidence_mismatch` where what is stored was altered
 */
export async function grantEvidence(control: Control, actor: Actor, id: RequestId): Promise<Evidence> {
  const request = await showRequest(control, actor, id);
  if (request.state === "pending")
    throw new CardeaError("request_pending", "there is evidence once the request is approved");
  if (request.grant === undefined)
    throw new CardeaError("request_not_pending", `the request was ${request.state}: there is no grant to prove`);
  const evidence = await assembleEvidence(control, request.grant.id, "audit");
  if (evidence === undefined)
    throw new CardeaError("request_pending", "the log does not cover the grant yet; try again in a moment");
  return evidence;
}
