/** `runs`: what came of approved actions. */
import { Option } from "commander";
import type { ResolveOptions, RunsOptions } from "../actions/runs.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/runs.ts");

export function addRunCommands({ program, run }: Registry): void {
  const runs = program.command("runs").description("what came of approved actions");
  runs
    .command("list", { isDefault: true })
    .description("runs as far as you may see them, newest first")
    .addOption(
      new Option("--state <state>", "only those in this state").choices([
        "intended",
        "running",
        "done",
        "failed",
        "unknown",
      ]),
    )
    .option("--mine", "only my own")
    .option("--resource <name>", "only those on this resource")
    .option("--limit <n>", "how many", "30")
    .action(run(async (context, options: RunsOptions) => (await actions()).listRuns(context, options)));
  runs
    .command("resolve")
    .argument("<run>")
    .description("say what you found out about a run whose end nobody saw (administrators; never one's own)")
    .addOption(
      new Option("--outcome <outcome>", "whether it happened").choices(["done", "failed"]).makeOptionMandatory(),
    )
    .requiredOption("--comment <text>", "how you know")
    .action(
      run(async (context, id: string, options: ResolveOptions) => (await actions()).resolveRun(context, id, options)),
    );
}
