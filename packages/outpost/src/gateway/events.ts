/** What is told of sessions and keys. Each runs inside the `Store.write` of the step that it tells of. */
import type { Arrival } from "@cardea/connectors/gateway";
import type { GrantId, LeaseId, ResourceId, SessionId } from "@cardea/core/contract/ids";
import type { ActionHeld, ActionWithdrawn } from "@cardea/core/wire/action-events";
import type { LinkEvent } from "@cardea/core/wire/link";
import type { SessionClosed, SessionCloseReason, SessionOpened } from "@cardea/core/wire/session-events";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { keyIdOf } from "@cardea/core/documents/grant";
import type { Teller } from "../leases/events.ts";
import type { EndingKey } from "../store/keys.ts";

/** What a session belongs to. */
export interface SessionIds {
  readonly resource: ResourceId;
  readonly grant: GrantId;
  readonly session: SessionId;
  readonly lease: LeaseId;
}

/** What passed through a session. Bytes are those of actions, their parameters and what belongs to them, and of answers. */
export type SessionCounts = Readonly<Omit<SessionClosed, "why" | "words">>;

function idsOf({ outpost }: Teller, { resource, grant, session, lease }: SessionIds): Record<string, string> {
  return { outpost, resource, grant, key: keyIdOf(grant), session, lease };
}

export function tellOpened(teller: Teller, ids: SessionIds, { source, database, application, tls }: Arrival): void {
  const told = {
    sourceIp: source.address,
    ...(database !== undefined && { database: clientText(database, 256) }),
    ...(application !== undefined && { application: clientText(application, 1_000) }),
    ...(tls !== undefined && { tls }),
  } satisfies SessionOpened;
  teller.spool.event("session.opened", idsOf(teller, ids), told);
}

/** Without counts where nobody is left who knows them. */
export function tellClosed(
  teller: Teller,
  ids: SessionIds,
  { why, words }: { readonly why: SessionCloseReason; readonly words: string },
  counts?: SessionCounts,
): void {
  const told = { why, ...(words !== "" && { words: clientText(words, 2_000) }), ...counts } satisfies SessionClosed;
  teller.spool.event("session.closed", idsOf(teller, ids), told);
}

export type WithdrawnWhy = ActionWithdrawn["why"];

/** A session waits with an action: the event files the request. */
export function tellHeld(
  { spool, outpost }: Teller,
  { resource, grant, session }: Omit<SessionIds, "lease">,
  held: ActionHeld,
): void {
  // JSON, as it is told and was signed.
  const data = JSON.parse(canonicalJson(held)) as LinkEvent["data"];
  spool.urgentEvent("action.held", { outpost, resource, grant, session }, data);
}

/** Nobody waits with it any more. */
export function tellWithdrawn(
  { spool, outpost }: Teller,
  { resource, grant, session }: Omit<SessionIds, "lease">,
  nonce: string,
  why: WithdrawnWhy,
): void {
  const told = { nonce, why } satisfies ActionWithdrawn;
  spool.urgentEvent("action.withdrawn", { outpost, resource, grant, session }, told);
}

/** A grant is over by the outpost's own doing, and nothing of it is left. */
export function tellOver(teller: Teller, { resource, id: grant, why }: EndingKey): void {
  teller.spool.event("grant.ended", { outpost: teller.outpost, resource, grant }, { why });
}

/** A client may have written anything. */
function clientText(text: string, maxLength: number): string {
  return text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}]/gu, " ")
    .slice(0, maxLength);
}
