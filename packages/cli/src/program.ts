/** The tree of commands. Each file of `commands/` adds its own; this one holds what is common to all. */
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
import { addResourceCommands } from "./commands/resources.ts";
import { addServerCommands } from "./commands/server.ts";
import { addSignInCommands } from "./commands/sign-in.ts";
import { newContext, type Context, type GlobalOptions } from "./context.ts";

/** What a command file needs to add its commands. */
export interface Registry {
  readonly program: Command;
  /** The context of the running command; call it inside an action. */
  readonly context: () => Context;
  readonly setExitCode: (code: number) => void;
}

export function buildProgram(environment: NodeJS.ProcessEnv, signal: AbortSignal, setExitCode: (code: number) => void): Command {
  const program = new Command("cardea")
    .description("Just-in-time access: ask for it, have it approved, use it, and nothing is left behind.")
    .version("0.1.0")
    .option("--as <name>", "act as a sample person (development mode)")
    .addOption(new Option("--url <url>", "the control plane's address").env("CARDEA_URL"))
    .option("--json", "one JSON document on standard output")
    .exitOverride()
    .showHelpAfterError("(`--help` shows how)")
    .enablePositionalOptions(false);
  const registry: Registry = { program, context: () => newContext(program.opts<GlobalOptions>(), environment, signal), setExitCode };
  addAccessCommands(registry);
  addRequestCommands(registry);
  addApprovalCommands(registry);
  addGrantCommands(registry);
  addResourceCommands(registry);
  addPolicyCommands(registry);
  addPeopleCommands(registry);
  addOperationCommands(registry);
  addAuditCommands(registry);
  addEvidenceCommands(registry);
  addSignInCommands(registry);
  addServerCommands(registry);
  addCompletionCommand(registry);
  return program;
}
