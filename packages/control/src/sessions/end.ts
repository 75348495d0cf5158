import type { z } from "zod";
import type { EndSession, SessionView } from "@cardea/core/wire/api/sessions";
import { CardeaError } from "@cardea/core/contract/errors";
import type { SessionId } from "@cardea/core/contract/ids";
import { toPlainText, toTime } from "@cardea/core/documents/primitives";
import { reportingAlterations } from "../audit/altered.ts";
import { record } from "../audit/record.ts";
import type { Actor, Control } from "../control.ts";
import { grantIds } from "../grants/ids.ts";
import { isConcerned } from "../grants/see.ts";
import { notify } from "../notify/notify.ts";
import { concerned, whatFor } from "../requests/tell.ts";
import { askForEnd } from "../store/sessions.ts";
import { enqueueTask } from "../store/tasks.ts";
import { transact } from "../store/transaction.ts";
import { seeSession } from "./see.ts";
import { sessionView } from "./view.ts";

/** As much as the outpost's task holds. */
const maxWhy = 200;

/**
 * Has the outpost close one session; its key stays good for others. For whoever may revoke the grant, and the resource's owners. Again is as
 * good as once, and of a closed session there is nothing to end.
 * @throws CardeaError `not_found`, `forbidden`
 */
export async function endSession(
  control: Control,
  actor: Actor,
  id: SessionId,
  { comment }: z.output<typeof EndSession>,
): Promise<SessionView> {
  const ending = transact(control, async (tx) => {
    const seen = await seeSession(tx, control, actor, id);
    const { grant, session, request, roster } = seen;
    if (!seen.mayEnd)
      throw new CardeaError(
        "forbidden",
        "only its requester, its approvers, the resource's owners and administrators end a session",
      );
    const now = toTime(control.clock.now());
    if (!(await askForEnd(tx, id, now))) return sessionView(roster, session);
    const words = `${actor.name} ended the session${comment === "" ? "" : `: ${comment}`}`;
    await enqueueTask(tx, control, grant.outpost, { type: "close", session: id, why: toPlainText(words, maxWhy) });
    await record(tx, control, {
      type: "session.ending",
      ids: { ...grantIds(grant), session: id },
      data: { grant: grant.signed.digest, comment },
      actor: actor.subject,
    });
    if (!isConcerned(request.document, actor.subject)) {
      await notify(tx, control, {
        type: "session.ending",
        to: concerned(request.document),
        request: request.document.id,
        grant: grant.id,
        words: `${actor.name} ended a session of ${whatFor(request.document)}${comment === "" ? "" : `: ${comment}`}`,
        command: `cardea sessions --grant ${grant.id}`,
      });
    }
    return sessionView(roster, { ...session, endAskedAt: now });
  });
  return await reportingAlterations(control, ending);
}
