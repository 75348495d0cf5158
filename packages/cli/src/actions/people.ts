/** Who there is, and what may act for them. */
import { Permission, type CreatedPerson, type PersonView } from "@cardea/core/wire/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import type { CardeaClient } from "@cardea/sdk/client";
import type { Context } from "../context.ts";
import { fields, table } from "../output/table.ts";
import { takeAll } from "./pages.ts";
import { duration } from "./wish.ts";

export interface InviteOptions {
  readonly displayName?: string;
  readonly email?: string;
  readonly kind: "human" | "workload" | "agent";
  readonly actsFor?: string;
  readonly groups: string[];
  readonly permissions: string[];
}

export interface ChangeOptions {
  readonly groups?: string[];
  readonly permissions?: string[];
  readonly displayName?: string;
  readonly email?: string;
  readonly deactivate?: true;
  readonly activate?: true;
}

export interface CreateTokenOptions {
  readonly permissions: string[];
  readonly for: string;
  readonly subject?: string;
}

export async function listPeople(context: Context): Promise<void> {
  const client = await context.client();
  const { terminal } = context;
  const items = await takeAll((query) => client.people(query));
  const rows = items.map(({ entry, displayName }) => [
    entry.name,
    displayName,
    entry.kind,
    standing(entry),
    entry.groups.join(", "),
    entry.permissions.join(", "),
  ]);
  terminal.result(
    { items },
    table(["name", "called", "kind", "standing", "groups", "permissions"], rows, terminal.columns),
  );
}

/** Invites somebody; a name that nobody has yet becomes a new subject first. */
export async function invite(context: Context, name: string, options: InviteOptions): Promise<void> {
  const permissions = permissionsOf(options.permissions);
  const client = await context.client();
  const known = await findPerson(client, name);
  const created = known === undefined ? await createPerson(client, name, permissions, options) : { person: known };
  const invitation = created.invitation ?? (await client.invite(created.person.entry.subject));
  context.terminal.result(
    invitation,
    `${invitation.invitation}\n\n${name} signs in with:\n  cardea login --url ${client.transport.baseUrl}\nand pastes it when asked. It is good once, until ${invitation.expiresAt}.`,
  );
}

export async function changePerson(context: Context, name: string, options: ChangeOptions): Promise<void> {
  const { groups, permissions, displayName, email } = options;
  if (options.activate === true && options.deactivate === true)
    throw new CardeaError("usage", "say either --activate or --deactivate");
  const change = {
    ...(groups !== undefined && { groups }),
    ...(permissions !== undefined && { permissions: permissionsOf(permissions) }),
    ...(displayName !== undefined && { displayName }),
    ...(email !== undefined && { email }),
    ...(options.activate === true && { active: true }),
    ...(options.deactivate === true && { active: false }),
  };
  if (Object.keys(change).length === 0) throw new CardeaError("usage", "say what to change; `--help` lists it");
  const client = await context.client();
  const { entry } = await demandPerson(client, name);
  const view = await client.changePerson(entry.subject, change);
  context.terminal.result(
    view,
    `${view.entry.name}: ${standing(view.entry)}, groups ${named(view.entry.groups)}, permissions ${named(view.entry.permissions)}`,
  );
}

export async function showPerson(context: Context, name: string): Promise<void> {
  const person = await demandPerson(await context.client(), name);
  const { entry, displayName, email, invitedUntil } = person;
  context.terminal.result(
    person,
    fields([
      ["name", entry.name === displayName ? entry.name : `${entry.name} (${displayName})`],
      ["subject", `${entry.subject}, ${entry.kind}${entry.actsFor === undefined ? "" : `, acts for ${entry.actsFor}`}`],
      ["standing", invitedUntil === undefined ? standing(entry) : `${standing(entry)}, invited until ${invitedUntil}`],
      ["groups", named(entry.groups)],
      ["permissions", named(entry.permissions)],
      ...(email === undefined ? [] : [["e-mail", email] as const]),
      ...entry.credentials.map(({ id, kind, addedAt }) => ["credential", `${id}, ${kind}, since ${addedAt}`] as const),
    ]),
  );
}

export async function revokeCredential(context: Context, name: string, credential: string): Promise<void> {
  const client = await context.client();
  const { entry } = await demandPerson(client, name);
  const view = await client.revokeCredential(entry.subject, credential);
  context.terminal.result(
    view,
    `${credential} is taken away from ${entry.name}, who has ${view.entry.credentials.length} left`,
  );
}

export async function listTokens(context: Context): Promise<void> {
  const client = await context.client();
  const { terminal } = context;
  const items = await takeAll((query) => client.tokens(query));
  const rows = items.map(({ id, label, permissions, expiresAt, lastUsedAt }) => [
    id,
    label,
    permissions.join(", "),
    expiresAt,
    lastUsedAt ?? "never",
  ]);
  terminal.result(
    { items },
    items.length === 0
      ? "no tokens"
      : table(["token", "label", "permissions", "expires", "last used"], rows, terminal.columns),
  );
}

export async function createToken(context: Context, label: string, options: CreateTokenOptions): Promise<void> {
  const asked = { label, permissions: permissionsOf(options.permissions), lifetime: duration("--for", options.for) };
  const client = await context.client();
  const subject =
    options.subject === undefined ? undefined : (await demandPerson(client, options.subject)).entry.subject;
  const token = await client.createToken({ ...asked, ...(subject !== undefined && { subject }) });
  context.terminal.note(
    `${token.id}, good until ${token.expiresAt}; shown once: keep it in a secret store and pass it as CARDEA_TOKEN`,
  );
  context.terminal.result(token, token.secret);
}

export async function revokeToken(context: Context, id: string): Promise<void> {
  await (await context.client()).revokeToken(id);
  context.terminal.result({ revoked: id }, `${id} revoked`);
}

async function createPerson(
  client: CardeaClient,
  name: string,
  permissions: Permission[],
  options: InviteOptions,
): Promise<CreatedPerson> {
  const { displayName, email, kind, groups } = options;
  const actsFor =
    options.actsFor === undefined ? undefined : (await demandPerson(client, options.actsFor)).entry.subject;
  return client.createPerson({
    name,
    kind,
    groups,
    permissions,
    ...(displayName !== undefined && { displayName }),
    ...(email !== undefined && { email }),
    ...(actsFor !== undefined && { actsFor }),
  });
}

async function findPerson(client: CardeaClient, name: string): Promise<PersonView | undefined> {
  return (await takeAll((query) => client.people(query))).find(
    ({ entry }) => entry.name === name || entry.subject === name,
  );
}

async function demandPerson(client: CardeaClient, name: string): Promise<PersonView> {
  const found = await findPerson(client, name);
  if (found === undefined) throw new CardeaError("not_found", `there is nobody called \`${name}\``);
  return found;
}

function permissionsOf(texts: readonly string[]): Permission[] {
  return texts.map((text) => {
    const parsed = Permission.safeParse(text);
    if (!parsed.success) throw new CardeaError("usage", `--permissions: \`${text}\` is none of member, auditor, admin`);
    return parsed.data;
  });
}

function standing({ active, credentials }: PersonView["entry"]): string {
  if (!active) return "inactive";
  return credentials.length === 0 ? "invited" : "active";
}

function named(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join(", ");
}
