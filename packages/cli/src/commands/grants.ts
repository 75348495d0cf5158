/** `keys`, `release`, `revoke`, `extend`: what is granted, and ending it. */
import type { ExtendOptions, KeysOptions, ReleaseOptions, RevokeOptions } from "../actions/grants.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/grants.ts");

export function addGrantCommands({ program, run }: Registry): void {
  program
    .command("keys")
    .description("list grants and their keys, newest first")
    .option("--all", "everybody's, as far as you may see them")
    .option("--ended", "those that are over too")
    .option("--to-review", "break-glass grants that wait for a review")
    .option("--limit <n>", "how many", "30")
    .action(run(async (context, options: KeysOptions) => (await actions()).listKeys(context, options)));

  program
    .command("release")
    .argument("<grant>")
    .description("give a grant back early: its key ends and live sessions close")
    .option("--no-wait", "do not wait until nothing is left")
    .action(
      run(async (context, id: string, options: ReleaseOptions) => (await actions()).release(context, id, options)),
    );

  program
    .command("revoke")
    .argument("<grant>")
    .description("end somebody's grant now (its approvers and administrators may)")
    .option("--comment <text>", "why", "")
    .action(run(async (context, id: string, options: RevokeOptions) => (await actions()).revoke(context, id, options)));

  program
    .command("extend")
    .argument("<grant>")
    .description("ask for more time: a new request, decided anew, with a new key")
    .requiredOption("--for <duration>", "how long from approval")
    .option("--why <text>", "the justification; default: the grant's own")
    .option("--timeout <duration>", "stop waiting after this long (exit 4)")
    .action(run(async (context, id: string, options: ExtendOptions) => (await actions()).extend(context, id, options)));
}
