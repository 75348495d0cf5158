/** `sessions`, `replay`, `kill`: connections made with keys, what was done in one, and closing one. */
import type { ReplayOptions } from "../actions/replay.ts";
import type { KillOptions, SessionsOptions } from "../actions/sessions.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/sessions.ts");
const recordings = () => import("../actions/replay.ts");

export function addSessionCommands({ program, run }: Registry): void {
  program
    .command("sessions")
    .argument("[session]", "show this one alone")
    .description("list connections made with keys through gateways, newest first")
    .option("--grant <grant>", "only those of this grant")
    .option("--resource <name>", "only those to this resource")
    .option("--closed", "those that are over too")
    .option("--all", "everybody's, as far as you may see them")
    .option("--limit <n>", "how many", "30")
    .option("--follow", "with a session: what is done in it from now on, until it ends or Ctrl-C")
    .option("--values", "with --follow: parameters, input and output too (for auditors)")
    .action(
      run(async (context, id: string | undefined, options: SessionsOptions) => {
        if (id === undefined) await (await actions()).listSessions(context, options);
        else if (options.follow === true) await (await recordings()).followSession(context, id, options);
        else await (await actions()).showSession(context, id);
      }),
    );

  program
    .command("replay")
    .argument("<session>")
    .description("tell what was done in a session, from its recording")
    .option("--values", "parameters, input and output too (for auditors)")
    .option("--follow", "go on with what is still to come, until it ends or Ctrl-C")
    .action(
      run(async (context, id: string, options: ReplayOptions) => (await recordings()).replay(context, id, options)),
    );

  program
    .command("kill")
    .argument("<session>")
    .description("close one session now; its key stays good for others (`revoke` ends the key)")
    .option("--comment <text>", "why; whoever is connected reads it", "")
    .action(run(async (context, id: string, options: KillOptions) => (await actions()).kill(context, id, options)));
}
