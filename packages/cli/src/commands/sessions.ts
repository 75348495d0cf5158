/** `sessions`, `kill`: connections made with keys, and closing one. */
import type { KillOptions, SessionsOptions } from "../actions/sessions.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/sessions.ts");

export function addSessionCommands({ program, run }: Registry): void {
  program
    .command("sessions")
    .description("list connections made with keys through gateways, newest first")
    .option("--grant <grant>", "only those of this grant")
    .option("--resource <name>", "only those to this resource")
    .option("--closed", "those that are over too")
    .option("--all", "everybody's, as far as you may see them")
    .option("--limit <n>", "how many", "30")
    .action(run(async (context, options: SessionsOptions) => (await actions()).listSessions(context, options)));

  program
    .command("kill")
    .argument("<session>")
    .description("close one session now; its key stays good for others (`revoke` ends the key)")
    .option("--comment <text>", "why; whoever is connected reads it", "")
    .action(run(async (context, id: string, options: KillOptions) => (await actions()).kill(context, id, options)));
}
