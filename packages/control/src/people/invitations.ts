/**
 * Invitations: the way in for a new credential. Single use, and not by the word of the database: an invitation is bound to the
 * credentials that its subject had when it was made, which stand in the signed roster, so the first enrolment spends it for good.
 */
import type { Invitation } from "@cardea/core/wire/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId, type SubjectId } from "@cardea/core/contract/ids";
import { toTime, timeMs, type Time } from "@cardea/core/documents/primitives";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { record } from "../audit/record.ts";
import type { Actor, Control, Tx } from "../control.ts";
import { insertInvitation, lockRoster, maybeOneInvitation, type InvitationRow } from "../store/people.ts";
import { keyedHash, matchesKeyedHash } from "../store/sealed.ts";
import { transact } from "../store/transaction.ts";
import { addSubject } from "./add-subject.ts";
import { isReachableAdmin, tellAdmins } from "./change-roster.ts";
import { demand, demandSignIn } from "./demand.ts";
import { rosterIn } from "./roster.ts";

const invitationLifetimeMs = 7 * 86_400_000;
const setupLifetimeMs = 15 * 60_000;
const prefix = "cardea_invitation_";

/**
 * Invites an existing subject to enrol a credential, also one more. Invitations made before stay good until the first enrolment.
 * @throws CardeaError `forbidden`, `token_forbidden`, `not_found`, `subject_inactive`
 */
export async function invite(control: Control, actor: Actor, subject: SubjectId): Promise<Invitation> {
  demand(actor, "admin");
  demandSignIn(actor);
  return transact(control, async (tx) => {
    const entry = (await rosterIn(tx, control)).entry(subject);
    if (entry === undefined) throw new CardeaError("not_found", `there is no subject \`${subject}\``);
    if (!entry.active)
      throw new CardeaError("subject_inactive", `\`${entry.name}\` is not active; make them active first`);
    const invitation = await makeInvitation(tx, control, subject, { madeBy: actor.subject });
    await tellAdmins(tx, control, "subject.invited", `${actor.name} invited ${entry.name} to enrol a credential`);
    return { ...invitation, name: entry.name };
  });
}

export interface SetupToken {
  readonly token: string;
  readonly subject: SubjectId;
  readonly name: string;
  readonly expiresAt: Time;
}

/**
 * The first administrator's invitation, good for 15 minutes. `server` writes it to a 0600 file. Making another one while nobody has
 * enrolled is allowed; once an administrator can sign in it is refused.
 * @throws CardeaError `conflict`
 */
export async function createSetupToken(control: Control, name = "admin"): Promise<SetupToken> {
  return transact(control, async (tx) => {
    // Before looking, so that of two processes that start at once only one makes the administrator.
    await lockRoster(tx);
    const view = await rosterIn(tx, control);
    if (view.entries().some(isReachableAdmin))
      throw new CardeaError("conflict", "there is an administrator already; let them invite you");
    const known = view.byName(name);
    if (known !== undefined && !known.permissions.includes("admin"))
      throw new CardeaError("conflict", `the name \`${name}\` is taken; choose another`);
    const subject = known?.subject ?? newId("subject", control.clock, control.random);
    if (known === undefined)
      await addSubject(
        tx,
        control,
        subject,
        { name, kind: "human", groups: [], claims: {}, permissions: ["admin", "member"] },
        undefined,
      );
    const { invitation, expiresAt } = await makeInvitation(tx, control, subject, { lifetimeMs: setupLifetimeMs });
    return { token: invitation, subject, name, expiresAt };
  });
}

/** In the caller's transaction. */
export async function makeInvitation(
  tx: Tx,
  control: Control,
  subject: SubjectId,
  { madeBy, lifetimeMs = invitationLifetimeMs }: { readonly madeBy?: SubjectId; readonly lifetimeMs?: number },
): Promise<Omit<Invitation, "name">> {
  const entry = (await rosterIn(tx, control)).entry(subject);
  if (entry === undefined) throw new CardeaError("not_found", `there is no subject \`${subject}\``);
  const invitation = prefix + toBase64Url(control.random.bytes(32));
  const now = control.clock.now();
  const expiresAt = toTime(now + lifetimeMs);
  const row = {
    lookup: lookupOf(control, invitation),
    subject_id: subject,
    expires_at: expiresAt,
    bound: boundTo(entry),
  };
  await insertInvitation(tx, {
    ...row,
    made_by: madeBy ?? null,
    created_at: toTime(now),
    mac: keyedHash(control, "invitation", bindingOf(row)),
  });
  await record(tx, control, {
    type: "subject.invited",
    ids: { subject },
    data: { expiresAt },
    ...(madeBy !== undefined && { actor: madeBy }),
  });
  return { invitation, subject, expiresAt };
}

/**
 * Whom an invitation lets in now: the subject's entry, or undefined where it is unknown, forged, expired or spent. The caller holds the
 * roster's lock.
 */
export async function invitedBy(tx: Tx, control: Control, invitation: string): Promise<RosterEntry | undefined> {
  const row = await maybeOneInvitation(tx, lookupOf(control, invitation));
  if (row === undefined || !matchesKeyedHash(control, "invitation", bindingOf(row), row.mac)) return undefined;
  if (timeMs(row.expires_at) <= control.clock.now()) return undefined;
  const entry = (await rosterIn(tx, control)).entry(row.subject_id);
  return entry?.active === true && boundTo(entry) === row.bound ? entry : undefined;
}

function lookupOf(control: Control, invitation: string): string {
  return keyedHash(control, "invitation", { lookup: invitation });
}

function bindingOf(row: Pick<InvitationRow, "lookup" | "subject_id" | "expires_at" | "bound">): object {
  const { lookup, subject_id, expires_at, bound } = row;
  return { lookup, subject: subject_id, expiresAt: expires_at, bound };
}

function boundTo(entry: RosterEntry): string {
  return entry.credentials.map((credential) => credential.id).join(" ");
}
