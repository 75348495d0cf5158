/** `completion`: what makes a shell complete `cardea`. The scripts ask the hidden command for every word, so they never grow stale. */
import { Argument } from "commander";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/completion.ts");

export function addCompletionCommand({ program, run }: Registry): void {
  program
    .command("completion")
    .addArgument(new Argument("<shell>").choices(["bash", "zsh", "fish"]))
    .description("print a completion script; for example: source <(cardea completion bash)")
    .action(run(async (context, shell: "bash" | "zsh" | "fish") => (await actions()).completionScript(context, shell)));

  program
    .command("__complete", { hidden: true })
    .argument("[words...]")
    .allowUnknownOption()
    .action(run(async (context, words: string[]) => (await actions()).complete(context, program, words)));
}
