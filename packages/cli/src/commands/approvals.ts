/** `approve`, `deny`, `review`: what approvers do. The request is shown with its code before anything is sent. */
import { confirm, isCancel } from "@clack/prompts";
import type { CastVote, RequestView } from "@cardea/core/contract/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Context } from "../context.ts";
import { requestWords } from "../output/request-words.ts";
import type { Registry } from "../program.ts";
import { grantId, requestId } from "./requests.ts";
import { duration } from "./wish.ts";

interface VoteOptions {
  readonly comment: string;
  readonly only?: string;
  readonly sourceIp?: string[];
  readonly yes?: boolean;
}

export function addApprovalCommands({ program, context }: Registry): void {
  program
    .command("approve")
    .argument("<request>")
    .description("say yes to exactly this request, perhaps narrowing it")
    .option("--only <duration>", "for no longer than this")
    .option("--source-ip <cidr...>", "from nowhere but here")
    .option("--comment <text>", "for the requester and the log", "")
    .option("--yes", "do not ask again on a terminal")
    .action((id: string, options: VoteOptions) => castVote(context(), id, "approve", options));

  program
    .command("deny")
    .argument("<request>")
    .description("say no to a request")
    .option("--comment <text>", "why; for the requester and the log", "")
    .option("--yes", "do not ask again on a terminal")
    .action((id: string, options: VoteOptions) => castVote(context(), id, "deny", options));

  program
    .command("review")
    .argument("<grant>")
    .description("look back at a break-glass grant")
    .option("--justified", "it was an emergency")
    .option("--misuse", "it was not")
    .requiredOption("--comment <text>", "what you found")
    .action(async (id: string, options: { justified?: boolean; misuse?: boolean; comment: string }) => {
      if ((options.justified === true) === (options.misuse === true)) throw new CardeaError("usage", "say either --justified or --misuse");
      const running = context();
      const grant = await (await running.client()).review(grantId(id), { verdict: options.justified === true ? "justified" : "misuse", comment: options.comment });
      running.terminal.result(grant, `${grant.id} reviewed: ${options.justified === true ? "justified" : "misuse"}`);
    });
}

async function castVote(context: Context, id: string, verdict: CastVote["verdict"], options: VoteOptions): Promise<void> {
  const { terminal } = context;
  const client = await context.client();
  const seen = await client.request(requestId(id));
  await confirmed(context, seen, verdict, options.yes === true);
  const narrowing = { ...(options.only !== undefined && { duration: duration("--only", options.only) }), ...(options.sourceIp !== undefined && { sourceIps: options.sourceIp }) };
  const view = await client.vote(seen.id, { verdict, digest: seen.digest, comment: options.comment, ...(Object.keys(narrowing).length > 0 && { narrowing }) });
  const next = view.state === "pending" ? `; ${view.words}` : "";
  terminal.result(view, `${verdict === "approve" ? "approved" : "denied"} ${view.id} (${seen.code}); it is ${view.state}${next}`);
}

/** On a terminal the approver sees all of it and says yes once more; scripts say what they mean. */
async function confirmed({ terminal, nowMs }: Context, view: RequestView, verdict: string, yes: boolean): Promise<void> {
  if (!terminal.interactive || !process.stdin.isTTY || yes) return;
  terminal.note(requestWords(view, terminal, nowMs()));
  const answer = await confirm({ message: `${verdict} ${view.code}?`, initialValue: false });
  if (isCancel(answer) || !answer) throw new CardeaError("cancelled", "nothing was sent");
}
