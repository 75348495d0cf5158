import type { SessionView } from "@cardea/core/wire/api/sessions";
import type { SessionId } from "@cardea/core/contract/ids";
import { reportingAlterations } from "../audit/altered.ts";
import type { Actor, Control } from "../control.ts";
import { transact } from "../store/transaction.ts";
import { seeSession } from "./see.ts";
import { sessionView } from "./view.ts";

/** One session. @throws CardeaError `not_found`, also for what the caller may not see */
export async function showSession(control: Control, actor: Actor, id: SessionId): Promise<SessionView> {
  const seen = await reportingAlterations(
    control,
    transact(control, (tx) => seeSession(tx, control, actor, id)),
  );
  return sessionView(seen.roster, seen.session);
}
