/** `approve`, `deny`, `review`: what approvers do. */
import type { ReviewOptions, VoteOptions } from "../actions/approvals.ts";
import type { Registry } from "../program.ts";

const actions = () => import("../actions/approvals.ts");

export function addApprovalCommands({ program, run }: Registry): void {
  program
    .command("approve")
    .argument("<request>")
    .description("say yes to exactly this request, perhaps narrowing it; on a terminal it is shown first")
    .option("--only <duration>", "for no longer than this")
    .option("--source-ip <cidr...>", "from nowhere but here")
    .option("--comment <text>", "for the requester and the log", "")
    .option("--yes", "do not ask again on a terminal")
    .action(
      run(async (context, id: string, options: VoteOptions) =>
        (await actions()).castVote(context, id, "approve", options),
      ),
    );

  program
    .command("deny")
    .argument("<request>")
    .description("say no to a request")
    .option("--comment <text>", "why; for the requester and the log", "")
    .option("--yes", "do not ask again on a terminal")
    .action(
      run(async (context, id: string, options: VoteOptions) =>
        (await actions()).castVote(context, id, "deny", options),
      ),
    );

  program
    .command("review")
    .argument("<grant>")
    .description("look back at a break-glass grant")
    .option("--justified", "it was an emergency")
    .option("--misuse", "it was not")
    .requiredOption("--comment <text>", "what you found")
    .action(run(async (context, id: string, options: ReviewOptions) => (await actions()).review(context, id, options)));
}
