import type { z } from "zod";
import type { EndView, RevokeGrant } from "@cardea/core/wire/api/grants";
import { CardeaError } from "@cardea/core/contract/errors";
import type { GrantId } from "@cardea/core/contract/ids";
import { whyNever, canMeet } from "@cardea/core/approval/standing";
import type { Actor, Control } from "../control.ts";
import { notify } from "../notify/notify.ts";
import { concerned, whatFor } from "../requests/tell.ts";
import { transact } from "../store/transaction.ts";
import { endGrantIn } from "./end.ts";
import { endView } from "./release.ts";
import { hasVoted, isConcerned, isReviewer, seeGrantLocked, type SeenGrant } from "./see.ts";

/**
 * Ends a grant at once: its requester, whoever voted on it or may approve such a request, its reviewers, administrators. Again is as good as once.
 * @throws CardeaError `not_found`, `forbidden`
 */
export async function revokeGrant(
  control: Control,
  actor: Actor,
  id: GrantId,
  { comment }: z.output<typeof RevokeGrant>,
): Promise<z.infer<typeof EndView>> {
  const grant = await transact(control, async (tx) => {
    const seen = await seeGrantLocked(tx, control, actor, id);
    if (!mayRevoke(actor, seen))
      throw new CardeaError("forbidden", "only its requester, its approvers and administrators revoke a grant");
    const before = seen.grant.state;
    const ended = await endGrantIn(tx, control, seen.grant, {
      why: "revoked",
      by: actor.subject,
      detail: comment === "" ? undefined : comment,
    });
    const document = seen.request.document;
    if (ended.state !== before && !isConcerned(document, actor.subject)) {
      await notify(tx, control, {
        type: "grant.ending",
        to: concerned(document),
        request: document.id,
        grant: id,
        words: `${actor.name} revoked the grant of ${whatFor(document)}${comment === "" ? "" : `: ${comment}`}`,
        command: `cardea show ${document.id}`,
      });
    }
    return ended;
  });
  return endView(grant);
}

/** Its requester, whoever voted on it or may approve such a request, its reviewers, administrators. */
export function mayRevoke(actor: Actor, seen: SeenGrant): boolean {
  if (actor.permissions.includes("admin") || isConcerned(seen.request.document, actor.subject)) return true;
  return hasVoted(seen.votes, actor.subject) || isReviewer(seen, actor.subject) || isApprover(actor, seen);
}

function isApprover(actor: Actor, { request: { document }, roster }: SeenGrant): boolean {
  const entry = roster.entry(actor.subject);
  if (entry === undefined || whyNever(document, actor.subject, (id) => roster.entry(id)) !== undefined) return false;
  return document.decision.stages
    .flat()
    .some((requirement) => canMeet(requirement, entry, document.createdAt, document.createdAt));
}
