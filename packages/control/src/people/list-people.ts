import type { z } from "zod";
import type { Page, PageQuery } from "@cardea/core/wire/api/conventions";
import type { PersonView } from "@cardea/core/wire/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import type { SubjectId } from "@cardea/core/contract/ids";
import { toTime, type Time } from "@cardea/core/documents/primitives";
import type { RosterEntry } from "@cardea/core/documents/roster";
import type { Actor, Control } from "../control.ts";
import { manyIdentities, manyInvitedUntil, manyProfiles } from "../store/people.ts";
import { demand } from "./demand.ts";
import { identityHolds } from "./identities.ts";
import { currentRoster } from "./roster.ts";

/** Subjects by id, oldest first. @throws CardeaError `forbidden` */
export async function listPeople(
  control: Control,
  actor: Actor,
  query: z.output<typeof PageQuery>,
): Promise<Page<PersonView>> {
  demand(actor, "auditor", "admin");
  const entries = (await currentRoster(control))
    .entries()
    .filter((entry) => query.cursor === undefined || entry.subject > query.cursor);
  const shown = entries.slice(0, query.limit);
  const next = entries.length > shown.length ? shown.at(-1)?.subject : undefined;
  return { items: await views(control, shown), ...(next !== undefined && { next }) };
}

/** Oneself, or for auditors and administrators anybody. Who may not see it cannot tell whether it exists. @throws CardeaError `not_found` */
export async function showPerson(control: Control, actor: Actor, id: SubjectId): Promise<PersonView> {
  const visible = actor.subject === id || actor.permissions.includes("auditor") || actor.permissions.includes("admin");
  const entry = visible ? (await currentRoster(control)).entry(id) : undefined;
  const [view] = entry === undefined ? [] : await views(control, [entry]);
  if (view === undefined) throw new CardeaError("not_found", `there is no subject \`${id}\`, or you may not see it`);
  return view;
}

async function views(control: Control, entries: readonly RosterEntry[]): Promise<PersonView[]> {
  if (entries.length === 0) return [];
  const ids = entries.map((entry) => entry.subject);
  const [profiles, identities, invitations] = await Promise.all([
    manyProfiles(control.db, ids),
    manyIdentities(control.db, ids),
    manyInvitedUntil(control.db, ids, toTime(control.clock.now())),
  ]);
  const profileOf = new Map(profiles.map((profile) => [profile.subject_id, profile]));
  const invitedUntil = new Map<SubjectId, Time>(invitations.map(({ subject_id, until }) => [subject_id, until]));
  return entries.map((entry) => {
    const profile = profileOf.get(entry.subject);
    const until = invitedUntil.get(entry.subject);
    const own = identities.filter((row) => row.subject_id === entry.subject && identityHolds(control, row));
    return {
      entry,
      displayName: profile?.display_name ?? entry.name,
      ...(profile !== undefined && profile.email !== null && { email: profile.email }),
      identities: own.map((row) => ({ issuer: row.issuer, subject: row.issuer_subject })),
      ...(until !== undefined && { invitedUntil: until }),
      createdAt: profile?.created_at ?? toTime(0),
    };
  });
}
