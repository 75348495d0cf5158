/** `resources`, `resource show|check|remove|apply`: what can be asked for, and registering one's own. */
import type { ApplyOptions } from "../actions/resources.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/resources.ts");

export function addResourceCommands({ program, run }: Registry): void {
  program
    .command("resources")
    .description("what can be asked for, and what policy would say")
    .action(run(async (context) => (await actions()).listResources(context)));

  const resource = program.command("resource").description("one resource: look, check, register");
  resource
    .command("show")
    .argument("<name>")
    .description("what it is, how it is, what you could ask for, and what everybody there may anyway")
    .action(run(async (context, name: string) => (await actions()).showResource(context, name)));
  resource
    .command("check")
    .argument("<name>")
    .description("have the outpost look at it now: reachable, and every privilege there (exit 1 where not)")
    .action(run(async (context, name: string) => (await actions()).checkResource(context, name)));
  resource
    .command("remove")
    .argument("<name>")
    .description("have the outpost forget what was applied; refused while there are grants on it")
    .action(run(async (context, name: string) => (await actions()).removeResource(context, name)));
  resource
    .command("apply")
    .argument("<file>", "a YAML file with one entry of `resources`, or several")
    .description(
      "register or change resources; the configuration, its secrets read here, is sealed to the outpost before it leaves this machine",
    )
    .option("--outpost <name>", "which outpost; needed where there are several")
    .action(
      run(async (context, file: string, options: ApplyOptions) =>
        (await actions()).applyResources(context, file, options),
      ),
    );
}
