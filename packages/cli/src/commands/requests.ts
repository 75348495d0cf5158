/** `request`, `requests`, `show`, `withdraw`, `key`: asking, and looking at what was asked. */
import { Option } from "commander";
import type { KeyOptions, ListOptions, RequestOptions } from "../actions/requests.ts";
import type { Registry } from "../program.ts";
import { withWishOptions } from "./wish-options.ts";

const actions = () => import("../actions/requests.ts");

export function addRequestCommands({ program, run }: Registry): void {
  withWishOptions(program.command("request").argument("<resource>"))
    .description("ask for a role for a window and wait for the key")
    .option("--extends <grant>", "more time on a grant of yours, decided anew")
    .option("--no-wait", "file it and return")
    .action(
      run(async (context, resource: string, options: RequestOptions) =>
        (await actions()).request(context, resource, options),
      ),
    );

  program
    .command("requests")
    .description("list requests, newest first")
    .option("--mine", "only my own")
    .option("--to-approve", "only those that wait for my vote")
    .addOption(
      new Option("--state <state>", "only those in this state").choices([
        "pending",
        "approved",
        "denied",
        "withdrawn",
        "expired",
      ]),
    )
    .option("--resource <name>", "only those for this resource")
    .option("--limit <n>", "how many", "30")
    .action(run(async (context, options: ListOptions) => (await actions()).listRequests(context, options)));

  program
    .command("show")
    .argument("<request>")
    .description("everything about one request")
    .action(run(async (context, id: string) => (await actions()).showRequest(context, id)));

  program
    .command("withdraw")
    .argument("<request>")
    .description("take back a request of yours that is still pending")
    .action(run(async (context, id: string) => (await actions()).withdrawRequest(context, id)));

  program
    .command("key")
    .argument("<request>", "a request (req_…) or grant (gra_…) of yours")
    .description("wait for the key of a request, or fetch it again, on the machine that asked for it")
    .option("--show", "print the secret too")
    .option("--uri", "print it as a connection string, secret included")
    .option("--timeout <duration>", "stop waiting after this long (exit 4)")
    .action(run(async (context, id: string, options: KeyOptions) => (await actions()).showKey(context, id, options)));
}
