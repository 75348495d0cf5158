/** Who may look at a session and who may end it: by its grant, which is verified, and for the resource's owners too. */
import { CardeaError } from "@cardea/core/contract/errors";
import type { GrantId, SessionId } from "@cardea/core/contract/ids";
import type { Actor, Control, Tx } from "../control.ts";
import { mayRevoke } from "../grants/revoke.ts";
import { isVisible, withOrigin, type SeenGrant } from "../grants/see.ts";
import { rosterIn } from "../people/roster.ts";
import { maybeOneGrant } from "../store/grants.ts";
import { resourceById } from "../store/resources.ts";
import { maybeOneSession, type ListedSession } from "../store/sessions.ts";

/** A grant as somebody sees it who looks at its sessions. */
export interface SeenGrantOfSessions extends SeenGrant {
  /** Whether they may end its sessions. */
  readonly mayEnd: boolean;
}

export interface SeenSession extends SeenGrantOfSessions {
  readonly session: ListedSession;
}

/** @throws CardeaError `not_found`; `evidence_signature`, `evidence_mismatch` where a row was altered */
export async function seeSession(tx: Tx, control: Control, actor: Actor, id: SessionId): Promise<SeenSession> {
  const session = await maybeOneSession(tx, id);
  const seen = session && (await maybeSeeGrant(tx, control, actor, session.grant));
  if (session === undefined || seen === undefined)
    throw new CardeaError("not_found", `there is no session \`${id}\`, or you may not see it`);
  return { ...seen, session };
}

/** The grant, or undefined where the caller may not see its sessions. */
export async function maybeSeeGrant(
  tx: Tx,
  control: Control,
  actor: Actor,
  id: GrantId,
): Promise<SeenGrantOfSessions | undefined> {
  const grant = await maybeOneGrant(tx, control.keys, { id });
  if (grant === undefined) return undefined;
  const seen = await withOrigin(tx, control, await rosterIn(tx, control), grant);
  const owner = await isOwner(tx, actor, seen);
  if (!owner && !isVisible(actor, seen)) return undefined;
  return { ...seen, mayEnd: owner || mayRevoke(actor, seen) };
}

/** Whether the resource, as its outpost last described it, is in the hands of a group of this person's. */
async function isOwner(tx: Tx, actor: Actor, { request, roster }: SeenGrant): Promise<boolean> {
  const entry = roster.entry(actor.subject);
  if (entry?.active !== true) return false;
  const resource = await resourceById(tx, request.document.resource.id);
  return resource?.spec.owners.groups.some((group) => entry.groups.includes(group)) === true;
}
