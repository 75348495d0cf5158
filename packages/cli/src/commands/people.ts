/** `people …`, `tokens …`: who there is, and what may act for them. */
import { Option } from "commander";
import type { ChangeOptions, CreateTokenOptions, InviteOptions } from "../actions/people.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/people.ts");
const list = (text: string): string[] =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");

export function addPeopleCommands({ program, run }: Registry): void {
  const people = program.command("people").description("subjects, groups, invitations");
  people
    .command("list", { isDefault: true })
    .description("everybody")
    .action(run(async (context) => (await actions()).listPeople(context)));
  people
    .command("invite")
    .argument("<name>", "somebody new, or who is there already and needs another credential")
    .description("print a single-use invitation, good for 7 days")
    .option("--display-name <text>", "how they are called")
    .option("--email <address>", "where notifications go")
    .addOption(new Option("--kind <kind>", "what they are").choices(["human", "workload", "agent"]).default("human"))
    .option("--acts-for <name>", "for whom an agent acts")
    .option("--groups <names>", "separated by commas", list, [])
    .option("--permissions <names>", "of member, auditor, admin, separated by commas", list, ["member"])
    .action(
      run(async (context, name: string, options: InviteOptions) => (await actions()).invite(context, name, options)),
    );
  people
    .command("change")
    .argument("<name>")
    .description("groups, permissions, standing; signed, logged and told to all administrators")
    .option("--groups <names>", "replaces all groups", list)
    .option("--permissions <names>", "replaces all permissions", list)
    .option("--display-name <text>", "how they are called")
    .option("--email <address>", "where notifications go")
    .option("--deactivate", "end their sign-ins and grants; their votes stop counting")
    .option("--activate", "let them in again")
    .action(
      run(async (context, name: string, options: ChangeOptions) =>
        (await actions()).changePerson(context, name, options),
      ),
    );

  people
    .command("show")
    .argument("<name>")
    .description("one of them, with their credentials")
    .action(run(async (context, name: string) => (await actions()).showPerson(context, name)));
  people
    .command("revoke")
    .argument("<name>")
    .argument("<credential>", "its id (crd_…)")
    .description("take a credential away; sign-ins made with it end")
    .action(
      run(async (context, name: string, credential: string) =>
        (await actions()).revokeCredential(context, name, credential),
      ),
    );

  const tokens = program.command("tokens").description("API tokens: for pipelines; they never vote, sign or enrol");
  tokens
    .command("list", { isDefault: true })
    .description("your own")
    .action(run(async (context) => (await actions()).listTokens(context)));
  tokens
    .command("create")
    .argument("<label>")
    .description("print a new token, once; pipelines pass it as CARDEA_TOKEN")
    .option("--permissions <names>", "a subset of yours, separated by commas", list, ["member"])
    .option("--for <duration>", "90d at most", "30d")
    .option("--subject <name>", "for a workload or agent instead of yourself (administrators)")
    .action(
      run(async (context, label: string, options: CreateTokenOptions) =>
        (await actions()).createToken(context, label, options),
      ),
    );
  tokens
    .command("revoke")
    .argument("<token>")
    .description("end a token now")
    .action(run(async (context, id: string) => (await actions()).revokeToken(context, id)));
}
