import type { z } from "zod";
import type { Page } from "@cardea/core/wire/api/conventions";
import type { SessionsQuery, SessionView } from "@cardea/core/wire/api/sessions";
import { CardeaError } from "@cardea/core/contract/errors";
import { SessionId } from "@cardea/core/contract/ids";
import { reportingAlterations } from "../audit/altered.ts";
import type { Actor, Control } from "../control.ts";
import { currentRoster } from "../people/roster.ts";
import { manySessions } from "../store/sessions.ts";
import { transact } from "../store/transaction.ts";
import { maybeSeeGrant } from "./see.ts";
import { sessionView } from "./view.ts";

/**
 * Sessions, newest first: those of one grant for whoever may see it, otherwise everybody's for auditors and administrators and one's own for
 * anybody else. The cursor is the last session's id.
 * @throws CardeaError `not_found` for a grant that the caller may not see
 */
export async function listSessions(
  control: Control,
  actor: Actor,
  { grant, resource, state, view, limit, cursor }: z.output<typeof SessionsQuery>,
): Promise<Page<SessionView>> {
  if (grant !== undefined) {
    const seen = await reportingAlterations(
      control,
      transact(control, (tx) => maybeSeeGrant(tx, control, actor, grant)),
    );
    if (seen === undefined) throw new CardeaError("not_found", `there is no grant \`${grant}\`, or you may not see it`);
  }
  const overseer = actor.permissions.includes("auditor") || actor.permissions.includes("admin");
  const everybodys = view === "all" && (overseer || grant !== undefined);
  const [roster, rows] = await Promise.all([
    currentRoster(control),
    manySessions(control.db, {
      grant,
      resource,
      state,
      concerning: everybodys ? undefined : actor.subject,
      before: cursorOf(cursor),
      limit: limit + 1,
    }),
  ]);
  const shown = rows.slice(0, limit);
  const next = rows.length > limit ? shown.at(-1)?.id : undefined;
  return { items: shown.map((row) => sessionView(roster, row)), ...(next !== undefined && { next }) };
}

function cursorOf(text: string | undefined): SessionId | undefined {
  if (text === undefined) return undefined;
  const parsed = SessionId.safeParse(text);
  if (!parsed.success)
    throw new CardeaError("invalid_request", "the cursor is not one of ours", {
      pointers: [{ path: "cursor", message: "not a cursor" }],
    });
  return parsed.data;
}
