/** Whom to tell of what, in words for people and with the command that they would type. Nothing here decides. */
import type { AuditType } from "@cardea/core/contract/audit-types";
import type { SubjectId } from "@cardea/core/contract/ids";
import { shortCode } from "@cardea/core/documents/digest";
import { toTime } from "@cardea/core/documents/primitives";
import type { Request } from "@cardea/core/documents/request";
import { possibleApprovers } from "@cardea/core/approval/eligible";
import type { Pending } from "@cardea/core/approval/tally";
import { describeAction, describeLimits } from "@cardea/core/policy/describe";
import type { Control, Tx } from "../control.ts";
import { notify } from "../notify/notify.ts";
import type { RosterView } from "../people/roster.ts";
import type { Signed } from "../store/signed.ts";

/** Tells those whose approval would bring the request forward now. */
export async function tellApprovers(
  tx: Tx,
  control: Control,
  roster: RosterView,
  { document, digest }: Signed<Request>,
  counted: Pending,
  type: AuditType | "request.reminder",
): Promise<void> {
  const now = toTime(control.clock.now());
  const approvers = possibleApprovers(document, counted, roster.entries(), (id) => roster.entry(id), now);
  if (approvers.length === 0) return;
  await notify(tx, control, {
    type,
    to: approvers.map((entry) => entry.subject),
    request: document.id,
    code: shortCode(digest),
    words: `${whatIsAsked(roster, document)} and needs your approval${document.asked.justification === "" ? "" : `: ${document.asked.justification}`}`,
    command: `cardea approve ${document.id}`,
  });
}

/** Tells the requester, and the one an agent acts for, what became of it. */
export async function tellRequester(
  tx: Tx,
  control: Control,
  roster: RosterView,
  { document, digest }: Signed<Request>,
  type: AuditType,
  what: string,
): Promise<void> {
  await notify(tx, control, {
    type,
    to: concerned(document),
    request: document.id,
    code: shortCode(digest),
    words: `the request for ${whatFor(document)} by ${nameOf(roster, document.asked.requester.id)} ${what}`,
    command: `cardea show ${document.id}`,
  });
}

/** Who made the request: the requester and, for an agent, for whom it acts. */
export function concerned({ asked: { requester } }: Request): SubjectId[] {
  return requester.onBehalfOf === undefined ? [requester.id] : [requester.id, requester.onBehalfOf];
}

/** `alice asks for read on prod-orders for 1h`. */
export function whatIsAsked(roster: RosterView, document: Request): string {
  const { requester } = document.asked;
  const { ask, within } = document.asked;
  const behalf = requester.onBehalfOf === undefined ? "" : ` on behalf of ${nameOf(roster, requester.onBehalfOf)}`;
  const who = `${nameOf(roster, requester.id)}${behalf}`;
  if ("role" in ask) return `${who} asks for ${whatFor(document)} ${describeLimits(document.decision.limits)}`;
  return within === undefined
    ? `${who} asks for one action: ${whatFor(document)}`
    : `${who} waits in a session with one action: ${whatFor(document)}`;
}

/** `read on prod-orders`, `update public.orders … on prod-orders`. */
export function whatFor({ asked: { ask, resource } }: Request): string {
  return `${"role" in ask ? ask.role : `${describeAction(ask.action)} …`} on ${resource}`;
}

function nameOf(roster: RosterView, id: SubjectId): string {
  return roster.entry(id)?.name ?? id;
}
