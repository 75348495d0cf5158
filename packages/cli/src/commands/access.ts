/** The everyday commands: `connect` and `run` ask, wait, use the key in one child process, and give it back. */
import type { ConnectOptions, RunOptions } from "../actions/access.ts";
import type { Registry } from "../program.ts";
import { withWishOptions } from "./wish-options.ts";

export function addAccessCommands({ program, run }: Registry): void {
  withWishOptions(
    program
      .command("connect")
      .argument("<resource>")
      .argument("[clientArgs...]", "passed on to the client, after `--`"),
  )
    .description(
      "ask for access, wait, and open the resource's own client (psql) with the key; given back when it ends",
    )
    .action(
      run(async (context, resource: string, args: string[], options: ConnectOptions) =>
        (await import("../actions/access.ts")).connect(context, resource, args, options),
      ),
    );

  withWishOptions(program.command("run").argument("<resource>").argument("<command...>", "the command, after `--`"))
    .description(
      "ask for access, wait, and run a command with the key; given back when it ends. Exits as the command does",
    )
    .option(
      "--key-as <form>",
      "env, uri (DATABASE_URL), pgpass (PGPASSFILE), json (CARDEA_KEY_FILE) or template:PATH (CARDEA_KEY_FILE)",
      "env",
    )
    .action(
      run(async (context, resource: string, command: string[], options: RunOptions) =>
        (await import("../actions/access.ts")).runCommand(context, resource, command, options),
      ),
    );
}
