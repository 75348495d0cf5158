/** `request`, `requests`, `show`, `withdraw`, `key`: asking, and looking at what was asked. */
import { Option } from "commander";
import type { ActionOptions, ResultOptions } from "../actions/exact.ts";
import type { KeyOptions, ListOptions, RequestOptions } from "../actions/requests.ts";
import type { Registry } from "../program.ts";
import { withWishOptions } from "./wish-options.ts";

const actions = () => import("../actions/requests.ts");
const exact = () => import("../actions/exact.ts");
const each = (value: string, before: readonly string[]): string[] => [...before, value];
/** What only a role has. */
const ofRoles = ["role", "extends", "start", "via", "sessions"];

export function addRequestCommands({ program, run }: Registry): void {
  withWishOptions(program.command("request").argument("<resource>"))
    .description("ask for a role for a window and wait for the key; or for one exact statement, run once when approved")
    .option("--extends <grant>", "more time on a grant of yours, decided anew")
    .addOption(new Option("--sql <statement>", "instead of a role: this statement").conflicts(ofRoles))
    .addOption(
      new Option("--file <path>", "instead of a role: the statement in this file (`-`: standard input)").conflicts(
        ofRoles,
      ),
    )
    .option("--param <text>", "with a statement: the value of $1; again for $2 and so on", each, [])
    .option("--database <name>", "with a statement: where it runs; default: the resource's only one")
    .option("--no-wait", "file it and return")
    .action(
      run(async (context, resource: string, options: RequestOptions & ActionOptions) =>
        options.sql === undefined && options.file === undefined
          ? (await actions()).request(context, resource, options)
          : (await exact()).requestAction(context, resource, options),
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

  program
    .command("result")
    .argument("<request>")
    .description("wait for the answer of a statement that you asked for, or fetch it again, on the machine that asked")
    .option("--timeout <duration>", "stop waiting after this long (exit 4)")
    .action(run(async (context, id: string, options: ResultOptions) => (await exact()).result(context, id, options)));
}
