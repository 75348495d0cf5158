/** `people …`, `tokens …`: who there is, and what may act for them. */
import type { PersonView } from "@cardea/core/contract/api/people";
import { Permission } from "@cardea/core/contract/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import type { CardeaClient } from "@cardea/sdk/client";
import { table } from "../output/table.ts";
import type { Registry } from "../program.ts";

const list = (text: string): string[] => text.split(",").map((part) => part.trim()).filter((part) => part !== "");

export function addPeopleCommands({ program, context }: Registry): void {
  const people = program.command("people").description("subjects, groups, invitations");
  people
    .command("list", { isDefault: true })
    .description("everybody")
    .action(async () => {
      const running = context();
      const page = await (await running.client()).people({ limit: 200 });
      const rows = page.items.map(({ entry, displayName }) => [entry.name, displayName, entry.kind, entry.groups.join(", "), entry.permissions.join(", "), entry.active ? (entry.credentials.length === 0 ? "invited" : "active") : "inactive"]);
      running.terminal.result(page, table(["name", "called", "kind", "groups", "permissions", "standing"], rows, running.terminal.columns));
    });
  people
    .command("invite")
    .argument("<name>", "somebody new, or who is there already and needs another credential")
    .description("print a single-use invitation, good for 7 days")
    .option("--display-name <text>")
    .option("--email <address>")
    .option("--kind <kind>", "human, workload or agent", "human")
    .option("--acts-for <name>", "for whom an agent acts")
    .option("--groups <names>", "separated by commas", list, [])
    .option("--permissions <names>", "member, auditor, admin", list, ["member"])
    .action(async (name: string, options: { displayName?: string; email?: string; kind: string; actsFor?: string; groups: string[]; permissions: string[] }) => {
      const running = context();
      const client = await running.client();
      const known = await findPerson(client, name);
      const actsFor = options.actsFor === undefined ? undefined : await demandPerson(client, options.actsFor);
      const subject =
        known?.entry.subject ??
        (
          await client.createPerson({
            name,
            kind: kindOf(options.kind),
            groups: options.groups,
            permissions: permissionsOf(options.permissions),
            ...(options.displayName !== undefined && { displayName: options.displayName }),
            ...(options.email !== undefined && { email: options.email }),
            ...(actsFor !== undefined && { actsFor: actsFor.entry.subject }),
          })
        ).person.entry.subject;
      const invitation = await client.invite(subject);
      running.terminal.result(invitation, `${invitation.invitation}\n\n${name} signs in with:\n  cardea login --url ${client.transport.baseUrl} --invitation -\nand pastes it. It is good once, until ${invitation.expiresAt}.`);
    });
  people
    .command("change")
    .argument("<name>")
    .description("groups, permissions, standing; signed, logged and told to all administrators")
    .option("--groups <names>", "replaces all groups", list)
    .option("--permissions <names>", "replaces all permissions", list)
    .option("--display-name <text>")
    .option("--email <address>")
    .option("--deactivate", "end their sign-ins and grants; their votes stop counting")
    .option("--activate")
    .action(async (name: string, options: { groups?: string[]; permissions?: string[]; displayName?: string; email?: string; deactivate?: boolean; activate?: boolean }) => {
      const running = context();
      const client = await running.client();
      const person = await demandPerson(client, name);
      const active = options.deactivate === true ? false : options.activate === true ? true : undefined;
      const view = await client.changePerson(person.entry.subject, {
        ...(options.groups !== undefined && { groups: options.groups }),
        ...(options.permissions !== undefined && { permissions: permissionsOf(options.permissions) }),
        ...(options.displayName !== undefined && { displayName: options.displayName }),
        ...(options.email !== undefined && { email: options.email }),
        ...(active !== undefined && { active }),
      });
      running.terminal.result(view, `${view.entry.name}: ${view.entry.active ? "active" : "inactive"}, groups ${view.entry.groups.join(", ") || "none"}, permissions ${view.entry.permissions.join(", ") || "none"}`);
    });

  const tokens = program.command("tokens").description("API tokens: for pipelines; they never vote, sign or enrol");
  tokens
    .command("list", { isDefault: true })
    .action(async () => {
      const running = context();
      const page = await (await running.client()).tokens();
      running.terminal.result(page, table(["token", "label", "permissions", "expires"], page.items.map(({ id, label, permissions, expiresAt }) => [id, label, permissions.join(", "), expiresAt]), running.terminal.columns));
    });
  tokens
    .command("create")
    .argument("<label>")
    .option("--permissions <names>", "a subset of yours", list, ["member"])
    .option("--for <duration>", "90d at most", "30d")
    .action(async (label: string, options: { permissions: string[]; for: string }) => {
      const running = context();
      const token = await (await running.client()).createToken({ label, permissions: permissionsOf(options.permissions), lifetime: options.for });
      running.terminal.note("shown once; keep it in a secret store and pass it as CARDEA_TOKEN");
      running.terminal.result(token, token.secret);
    });
  tokens
    .command("revoke")
    .argument("<token>")
    .action(async (id: string) => {
      const running = context();
      await (await running.client()).revokeToken(id);
      running.terminal.result({ revoked: id }, `${id} revoked`);
    });
}

export async function findPerson(client: CardeaClient, name: string): Promise<PersonView | undefined> {
  for (let cursor: string | undefined; ; ) {
    const page = await client.people({ limit: 200, cursor });
    const found = page.items.find(({ entry }) => entry.name === name || entry.subject === name);
    if (found !== undefined || page.next === undefined) return found;
    cursor = page.next;
  }
}

async function demandPerson(client: CardeaClient, name: string): Promise<PersonView> {
  const found = await findPerson(client, name);
  if (found === undefined) throw new CardeaError("not_found", `there is nobody called \`${name}\``);
  return found;
}

function kindOf(text: string): "human" | "workload" | "agent" {
  if (text === "human" || text === "workload" || text === "agent") return text;
  throw new CardeaError("usage", `--kind: \`${text}\` is none of human, workload, agent`);
}

function permissionsOf(texts: readonly string[]): Permission[] {
  return texts.map((text) => {
    const parsed = Permission.safeParse(text);
    if (!parsed.success) throw new CardeaError("usage", `--permissions: \`${text}\` is none of member, auditor, admin`);
    return parsed.data;
  });
}
