/**
 * The tree of commands. Each file of `commands/` declares its own: names, options, words, and which action of `actions/` runs. Actions are
 * loaded when they run, so that `--help` and completions stay instant.
 */
import { Command, Option } from "commander";
import { addAccessCommands } from "./commands/access.ts";
import { addApprovalCommands } from "./commands/approvals.ts";
import { addAuditCommands } from "./commands/audit.ts";
import { addCompletionCommand } from "./commands/completion.ts";
import { addEvidenceCommands } from "./commands/evidence.ts";
import { addGrantCommands } from "./commands/grants.ts";
import { addOperationCommands } from "./commands/operations.ts";
import { addPeopleCommands } from "./commands/people.ts";
import { addPolicyCommands } from "./commands/policy.ts";
import { addRequestCommands } from "./commands/requests.ts";
import { addRunCommands } from "./commands/runs.ts";
import { addResourceCommands } from "./commands/resources.ts";
import { addServerCommands } from "./commands/server.ts";
import { addSessionCommands } from "./commands/sessions.ts";
import { addSignInCommands } from "./commands/sign-in.ts";
import { version } from "./version.ts";
import { newContext, type Context, type GlobalOptions, type World } from "./context.ts";

/** What a command file needs to add its commands. */
export interface Registry {
  readonly program: Command;
  /** Wraps an action: it gets the running command's context, and may answer the exit code. */
  readonly run: <Args extends readonly unknown[]>(
    action: (context: Context, ...args: Args) => Promise<number> | Promise<void>,
  ) => (...args: Args) => Promise<void>;
}

export function buildProgram(world: World, setExitCode: (code: number) => void): Command {
  const program = new Command("cardea")
    .description("Just-in-time access: ask for it, have it approved, use it, and nothing is left behind.")
    .version(version)
    .option("--as <name>", "act as a sample person (development mode)")
    .addOption(new Option("--url <url>", "the control plane's address; default: CARDEA_URL, or where you signed in"))
    .option("--json", "one JSON document on standard output; what goes wrong as JSON on standard error")
    .exitOverride()
    // `main` says what is wrong, in words or as JSON.
    .configureOutput({ outputError: () => undefined });
  const registry: Registry = {
    program,
    run:
      (action) =>
      async (...args) => {
        const exitCode = await action(newContext(program.opts<GlobalOptions>(), world), ...args);
        if (typeof exitCode === "number") setExitCode(exitCode);
      },
  };
  program.commandsGroup("Asking, and giving back:");
  addResourceCommands(registry);
  addAccessCommands(registry);
  addRequestCommands(registry);
  addGrantCommands(registry);
  addSessionCommands(registry);
  addRunCommands(registry);
  program.commandsGroup("Approving:");
  addApprovalCommands(registry);
  program.commandsGroup("Proving:");
  addAuditCommands(registry);
  addEvidenceCommands(registry);
  program.commandsGroup("Administering:");
  addPolicyCommands(registry);
  addPeopleCommands(registry);
  addOperationCommands(registry);
  program.commandsGroup("Yourself:");
  addSignInCommands(registry);
  addCompletionCommand(registry);
  program.commandsGroup("Running Cardea:");
  addServerCommands(registry);
  return program;
}
