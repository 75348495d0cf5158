/** Grants as the API shows them. */
import type { GrantView } from "@cardea/core/wire/api/grants";
import { keyIdOf } from "@cardea/core/documents/grant";
import type { RosterView } from "../people/roster.ts";
import { subjectRef } from "../requests/subject-ref.ts";
import type { StoredGrant } from "../store/grants.ts";
import type { SessionCounts } from "../store/sessions.ts";

/** With `counts` (of a gateway's key) it says how much the key is in use. */
export function grantView(roster: RosterView, grant: StoredGrant, counts?: SessionCounts): GrantView {
  const { signed, lease } = grant;
  return {
    id: grant.id,
    request: grant.request,
    ...(grant.role !== undefined && { key: keyIdOf(grant.id) }),
    state: grant.state,
    ...(grant.why !== undefined && { why: grant.why }),
    ...(grant.detail !== undefined && { detail: grant.detail }),
    requester: subjectRef(roster, grant.requester),
    resource: grant.resource,
    ...(grant.role !== undefined && { role: grant.role }),
    ...("action" in signed.document.permissions && { action: signed.document.permissions.action.name }),
    digest: signed.digest,
    document: signed.document,
    ...(lease?.nativeName !== undefined && { nativeName: lease.nativeName }),
    ...(lease !== undefined && {
      lease: { state: lease.state, stuck: lease.stuck, ...(lease.detail !== undefined && { detail: lease.detail }) },
    }),
    ...(counts !== undefined && { sessions: counts }),
    reviewOwed: grant.reviewDueAt !== undefined && grant.reviewedAt === undefined,
    ...(grant.issuedAt !== undefined && { issuedAt: grant.issuedAt }),
    ...(grant.endedAt !== undefined && { endedAt: grant.endedAt }),
  };
}
