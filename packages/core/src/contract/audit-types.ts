import { z } from "zod";

/**
 * Every event that the log can hold, as `noun.verb` in the past, with what it means. One list: the reference page is
 * held equal to it by a test.
 */
export const auditTypes = {
  "installation.created": "the data directory and its keys were made",
  "request.submitted": "a request was filed and waits or was allowed",
  "request.refused": "policy refused a request at once",
  "request.voted": "an approver said yes or no",
  "request.approved": "every stage was met",
  "request.denied": "an approver refused",
  "request.withdrawn": "the requester took the request back",
  "request.expired": "nobody decided in time, or the deciding policy changed",
  "request.escalated": "a requirement was opened to further approvers",
  "grant.created": "an approved request became a grant",
  "grant.issued": "the outpost made the key",
  "grant.failed": "the key could not be made",
  "grant.ending": "the end of a grant began",
  "grant.ended": "a grant is over and nothing of it is left",
  "grant.reviewed": "somebody looked back at a break-glass grant",
  "key.sealed": "the secret was sealed to the requester's delivery key",
  "key.delivered": "the sealed secret was fetched",
  "session.opened": "a connection was made with a key",
  "session.ending": "somebody asked for a connection to be closed",
  "session.closed": "a connection made with a key ended",
  "action.held": "a gateway keeps an action waiting, and its request is filed",
  "action.withdrawn": "nobody waits for a held action any more",
  "run.started": "an approved action is being run",
  "run.done": "an approved action was run",
  "run.failed": "an approved action was not done",
  "run.unknown": "an approved action may have been done, and nobody knows",
  "run.resolved": "it was found out whether an approved action was done",
  "result.delivered": "the sealed answer of an action was fetched",
  "recording.read": "somebody read the recording of a session",
  "recording.removed": "the recording of a session was removed, after it was kept for as long as it is to be",
  "lease.intended": "a native login is about to be made",
  "lease.live": "a native login exists",
  "lease.ending": "a native login is being taken back",
  "lease.gone": "a native login no longer exists",
  "lease.stuck": "a native login cannot be taken back yet",
  "lease.misused": "a native login was altered or left things behind",
  "resource.registered": "a resource became known",
  "resource.changed": "a resource's specification changed",
  "resource.removed": "a resource is no longer offered",
  "resource.stranger": "something bearing a mark that no lease explains was found",
  "outpost.invited": "an enrolment token for an outpost was made",
  "outpost.enrolled": "an outpost proved its key for the first time",
  "outpost.connected": "an outpost's link came up",
  "outpost.disconnected": "an outpost's link went down",
  "policy.applied": "a policy version came into force",
  "policy.refused": "a policy was not applied because it is invalid",
  "subject.invited": "an invitation was made",
  "subject.created": "a subject was added",
  "subject.changed": "a subject's groups, claims or standing changed",
  "subject.signed_in": "a subject signed in",
  "credential.enrolled": "a credential was added",
  "credential.revoked": "a credential was taken away",
  "token.created": "an API token was made",
  "token.revoked": "an API token was taken away",
  "webhook.created": "a webhook endpoint was added",
  "webhook.removed": "a webhook endpoint was taken away",
  "security.refused": "something that looked like an attack was refused",
} as const;

export type AuditType = keyof typeof auditTypes;

export const AuditType = z.enum(
  // `Object.keys` of a literal object gives exactly its keys.
  Object.keys(auditTypes) as [AuditType, ...AuditType[]],
);
