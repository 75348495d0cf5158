/** Sessions as the API shows them: what an outpost told of them, beside whose grant they belong to. */
import type { SessionView } from "@cardea/core/wire/api/sessions";
import { keyIdOf } from "@cardea/core/documents/grant";
import type { SessionClosed } from "@cardea/core/wire/session-events";
import type { RosterView } from "../people/roster.ts";
import { subjectRef } from "../requests/subject-ref.ts";
import type { ListedSession } from "../store/sessions.ts";

export function sessionView(roster: RosterView, session: ListedSession): SessionView {
  const { closed } = session;
  return {
    id: session.id,
    grant: session.grant,
    key: keyIdOf(session.grant),
    state: session.state,
    requester: subjectRef(roster, session.requester),
    resource: session.resource,
    ...(session.role !== undefined && { role: session.role }),
    ...session.opened,
    openedAt: session.openedAt,
    ending: session.state === "open" && session.endAskedAt !== undefined,
    ...(session.closedAt !== undefined && { closedAt: session.closedAt }),
    ...(closed !== undefined && {
      why: closed.why,
      ...(closed.words !== undefined && { words: closed.words }),
      ...(closed.actions !== undefined && { use: useIn(closed) }),
    }),
  };
}

function useIn({ actions = 0, refused = 0, rows = 0, bytesIn = 0, bytesOut = 0 }: SessionClosed): SessionView["use"] {
  return { actions, refused, rows, bytesIn, bytesOut };
}
