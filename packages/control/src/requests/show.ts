import type { RequestView } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import type { RequestId } from "@cardea/core/contract/ids";
import { reportingAlterations } from "../audit/altered.ts";
import type { Actor, Control } from "../control.ts";
import { currentRoster } from "../people/roster.ts";
import { maybeOneGrant } from "../store/grants.ts";
import { manyVotes, maybeOneRequest } from "../store/requests.ts";
import { maybeOneRun } from "../store/runs.ts";
import { maySee, requestView } from "./view.ts";

/**
 * One request with its votes and grant.
 * @throws CardeaError `not_found`, also for what the caller may not see; `evidence_signature` where it was altered in the database
 */
export async function showRequest(control: Control, actor: Actor, id: RequestId): Promise<RequestView> {
  const reading = Promise.all([
    maybeOneRequest(control.db, control.keys, id),
    manyVotes(control.db, control.keys, id),
    maybeOneGrant(control.db, control.keys, { request: id }),
    maybeOneRun(control.db, { request: id }),
    currentRoster(control),
  ]);
  const [request, votes, grant, run, roster] = await reportingAlterations(control, reading);
  if (request === undefined || !maySee(actor, roster, request, votes))
    throw new CardeaError("not_found", `there is no request \`${id}\`, or you may not see it`);
  return requestView({ roster, actor: actor.subject, request, votes, grant, run, nowMs: control.clock.now() });
}
