import type { z } from "zod";
import type { ChangePerson, PersonView } from "@cardea/core/wire/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import type { CredentialId, SubjectId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { record } from "../audit/record.ts";
import type { Actor, Control, Tx } from "../control.ts";
import {
  deleteInvitations,
  deleteTokensOf,
  deleteTokensOfCredential,
  manyProfiles,
  replaceIdentities,
  upsertProfile,
} from "../store/people.ts";
import { transact } from "../store/transaction.ts";
import { refuseAgentPowers, sortedSet } from "./add-subject.ts";
import { changeRoster, tellAdmins } from "./change-roster.ts";
import { demand, demandSignIn } from "./demand.ts";
import { identityRow, type LinkedIdentity } from "./identities.ts";
import { showPerson } from "./list-people.ts";

/**
 * Changes a subject: what is given replaces what was. Who is made inactive loses every sign-in, API token and open invitation with it.
 * @throws CardeaError `forbidden`, `token_forbidden`, `not_found`; `conflict` where an identity belongs to somebody else or no administrator would be left
 */
export async function changePerson(
  control: Control,
  actor: Actor,
  id: SubjectId,
  input: z.output<typeof ChangePerson>,
): Promise<PersonView> {
  demand(actor, "admin");
  demandSignIn(actor);
  await transact(control, async (tx) => {
    const changed: { before?: RosterEntry; after?: RosterEntry } = {};
    await changeRoster(tx, control, (view) => {
      const before = view.entry(id);
      if (before === undefined) throw new CardeaError("not_found", `there is no subject \`${id}\``);
      const after = changedEntry(before, input);
      Object.assign(changed, { before, after });
      return [after];
    });
    const { before, after } = changed;
    if (before === undefined || after === undefined) throw new TypeError("the roster was changed without an entry");
    await changeProfile(tx, control, after, input);
    if (input.identities !== undefined) await linkIdentities(tx, control, id, input.identities);
    if (!after.active) {
      await deleteTokensOf(tx, id);
      await deleteInvitations(tx, id);
    }
    await record(tx, control, {
      type: "subject.changed",
      ids: { subject: id },
      data: { fields: Object.keys(input).sort(), before: standingOf(before), after: standingOf(after) },
      actor: actor.subject,
    });
    await tellAdmins(
      tx,
      control,
      "subject.changed",
      `${actor.name} changed ${after.name}: ${wordsFor(before, after, input)}`,
    );
  });
  return showPerson(control, actor, id);
}

/**
 * Takes a credential away, with the sign-ins made by it. Oneself, or for administrators anybody's.
 * @throws CardeaError `not_found`, `token_forbidden`; `conflict` where no administrator would be left
 */
export async function revokeCredential(
  control: Control,
  actor: Actor,
  id: SubjectId,
  credential: CredentialId,
): Promise<PersonView> {
  demandSignIn(actor);
  await transact(control, async (tx) => {
    let name = "";
    await changeRoster(tx, control, (view) => {
      const entry = actor.subject === id || actor.permissions.includes("admin") ? view.entry(id) : undefined;
      if (entry?.credentials.some((held) => held.id === credential) !== true) {
        throw new CardeaError("not_found", `\`${id}\` has no credential \`${credential}\`, or you may not see it`);
      }
      name = entry.name;
      return [{ ...entry, credentials: entry.credentials.filter((held) => held.id !== credential) }];
    });
    await deleteTokensOfCredential(tx, credential);
    await record(tx, control, {
      type: "credential.revoked",
      ids: { subject: id, credential },
      data: { name },
      actor: actor.subject,
    });
    await tellAdmins(tx, control, "credential.revoked", `${actor.name} took a credential of ${name} away`);
  });
  return showPerson(control, actor, id);
}

function changedEntry(before: RosterEntry, input: z.output<typeof ChangePerson>): RosterEntry {
  const permissions = input.permissions === undefined ? before.permissions : sortedSet(input.permissions);
  refuseAgentPowers(before.kind, permissions);
  const active = input.active ?? before.active;
  const { tokens, ...kept } = before;
  return {
    ...kept,
    ...(active && tokens !== undefined && { tokens }),
    permissions,
    groups: input.groups === undefined ? before.groups : sortedSet(input.groups),
    claims: input.claims ?? before.claims,
    active,
  };
}

async function changeProfile(
  tx: Tx,
  control: Control,
  { subject, name }: RosterEntry,
  input: z.output<typeof ChangePerson>,
): Promise<void> {
  if (input.displayName === undefined && input.email === undefined) return;
  const [profile] = await manyProfiles(tx, [subject]);
  await upsertProfile(tx, {
    subject_id: subject,
    display_name: input.displayName ?? profile?.display_name ?? name,
    email: input.email === undefined ? (profile?.email ?? null) : input.email,
    created_at: profile?.created_at ?? toTime(control.clock.now()),
  });
}

async function linkIdentities(
  tx: Tx,
  control: Control,
  owner: SubjectId,
  identities: readonly LinkedIdentity[],
): Promise<void> {
  const distinct = new Map(
    identities.map((identity) => [JSON.stringify([identity.issuer, identity.subject]), identity]),
  );
  const rows = [...distinct.values()].map((identity) => identityRow(control, owner, identity));
  if ((await replaceIdentities(tx, owner, rows)) > 0) {
    throw new CardeaError("conflict", "one of the identities belongs to another subject; take it away there first", {
      pointers: [{ path: "identities", message: "linked to another subject" }],
    });
  }
}

function standingOf({ groups, claims, permissions, active }: RosterEntry): {
  groups: string[];
  claims: Record<string, string>;
  permissions: string[];
  active: boolean;
} {
  return { groups, claims, permissions, active };
}

function wordsFor(before: RosterEntry, after: RosterEntry, input: z.output<typeof ChangePerson>): string {
  const words = [
    ...difference("group", before.groups, after.groups),
    ...difference("permission", before.permissions, after.permissions),
    ...(before.active === after.active ? [] : [after.active ? "made active" : "made inactive"]),
    ...(input.claims === undefined ? [] : ["claims set"]),
    ...(input.identities === undefined ? [] : ["linked identities set"]),
    ...(input.email === undefined ? [] : ["e-mail address set"]),
    ...(input.displayName === undefined ? [] : ["displayed name set"]),
  ];
  return words.length === 0 ? "nothing" : words.join("; ");
}

function difference(what: string, before: readonly string[], after: readonly string[]): string[] {
  const added = after.filter((value) => !before.includes(value)).map((value) => `${what} ${value} added`);
  return [...added, ...before.filter((value) => !after.includes(value)).map((value) => `${what} ${value} taken away`)];
}
