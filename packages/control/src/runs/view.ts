/** Runs as the API shows them. */
import type { ListedRun, RunView } from "@cardea/core/wire/api/runs";
import type { RosterView } from "../people/roster.ts";
import { subjectRef } from "../requests/subject-ref.ts";
import type { StoredRun } from "../store/runs.ts";

export function runView(roster: RosterView, run: StoredRun): RunView {
  const { resolved } = run;
  // What was found out before anybody said that nobody knew shows once that is said.
  const shown = resolved !== undefined && run.endedAt !== undefined ? resolved : undefined;
  return {
    id: run.id,
    state: run.state,
    ...(run.session !== undefined && { session: run.session }),
    ...(run.rowCount !== undefined && { rowCount: run.rowCount }),
    ...(run.error !== undefined && { error: run.error }),
    ...(run.endedAt !== undefined && { at: run.endedAt }),
    ...(run.resultDigest !== undefined && { resultDigest: run.resultDigest }),
    ...(shown !== undefined && {
      resolved: {
        at: shown.at,
        ...(shown.by !== undefined && { by: subjectRef(roster, shown.by) }),
        ...(shown.comment !== undefined && { comment: shown.comment }),
      },
    }),
  };
}

export function listedRun(roster: RosterView, run: StoredRun): ListedRun {
  return {
    ...runView(roster, run),
    request: run.request,
    grant: run.grant,
    requester: subjectRef(roster, run.requester),
    resource: run.resource,
    action: run.action,
  };
}
