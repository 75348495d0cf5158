/** `outposts …`, `webhooks …`: what administrators run Cardea with. */
import type { WebhookOptions } from "../actions/operations.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/operations.ts");

export function addOperationCommands({ program, run }: Registry): void {
  const outposts = program.command("outposts").description("the outposts, which alone hold resources' credentials");
  outposts
    .command("list", { isDefault: true })
    .description("which there are, and whether their links are up")
    .action(run(async (context) => (await actions()).listOutposts(context)));
  outposts
    .command("invite")
    .description("print an enrolment token for one new outpost: single use, 15 minutes")
    .action(run(async (context) => (await actions()).inviteOutpost(context)));

  const webhooks = program.command("webhooks").description("where notifications are sent, signed as Standard Webhooks");
  webhooks
    .command("list", { isDefault: true })
    .description("which there are, and whether they fail")
    .action(run(async (context) => (await actions()).listWebhooks(context)));
  webhooks
    .command("create")
    .argument("<url>")
    .description("send notifications there; prints the secret that signs them, once")
    .option("--events <types...>", "only these, such as request.submitted; default: all")
    .option("--label <text>", "what it is", "")
    .action(
      run(async (context, url: string, options: WebhookOptions) =>
        (await actions()).createWebhook(context, url, options),
      ),
    );
  webhooks
    .command("delete")
    .argument("<webhook>")
    .description("send there no longer")
    .action(run(async (context, id: string) => (await actions()).deleteWebhook(context, id)));
}
