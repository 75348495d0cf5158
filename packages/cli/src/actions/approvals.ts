/** What approvers do. The request is shown with its code before anything is sent, and the vote names the digest of what was shown. */
import type { CastVote, RequestView } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import { digestOf, shortCode } from "@cardea/core/documents/digest";
import type { Context } from "../context.ts";
import { requestWords } from "../output/request-words.ts";
import { grantId, requestId } from "./ids.ts";
import { duration } from "./wish.ts";

export interface VoteOptions {
  readonly comment: string;
  readonly only?: string;
  readonly sourceIp?: string[];
  readonly yes?: true;
}

export interface ReviewOptions {
  readonly justified?: true;
  readonly misuse?: true;
  readonly comment: string;
}

export async function castVote(
  context: Context,
  id: string,
  verdict: CastVote["verdict"],
  options: VoteOptions,
): Promise<void> {
  const narrowing = {
    ...(options.only !== undefined && { duration: duration("--only", options.only) }),
    ...(options.sourceIp !== undefined && { sourceIps: options.sourceIp }),
  };
  const client = await context.client();
  const seen = await client.request(requestId(id));
  // The digest of what is shown, not the one that the server says it has: a vote must never count for anything else.
  const digest = digestOf("request", seen.document);
  if (digest !== seen.digest)
    throw new CardeaError("evidence_mismatch", `${seen.id} is not the document that its digest says; nothing was sent`);
  await confirmed(context, { ...seen, code: shortCode(digest) }, verdict, options.yes === true);
  const view = await client.vote(seen.id, {
    verdict,
    digest,
    comment: options.comment,
    ...(Object.keys(narrowing).length > 0 && { narrowing }),
  });
  const runs = view.state === "approved" && "action" in view.document.asked.ask;
  const next =
    view.state === "pending"
      ? `; ${view.words}`
      : runs
        ? ` and runs now; \`cardea show ${view.id}\` tells how it went`
        : "";
  context.terminal.result(
    view,
    `${verdict === "approve" ? "approved" : "denied"} ${view.id} (${shortCode(digest)}); it is ${view.state}${next}`,
  );
}

export async function review(
  context: Context,
  id: string,
  { justified, misuse, comment }: ReviewOptions,
): Promise<void> {
  if ((justified === true) === (misuse === true)) throw new CardeaError("usage", "say either --justified or --misuse");
  const verdict = justified === true ? "justified" : "misuse";
  const grant = await (await context.client()).review(grantId(id), { verdict, comment });
  context.terminal.result(grant, `${grant.id} reviewed: ${verdict}`);
}

/** On a terminal the approver sees all of it and says yes once more; scripts say what they mean. */
async function confirmed(
  { terminal, stdin, nowMs }: Context,
  view: RequestView,
  verdict: string,
  yes: boolean,
): Promise<void> {
  if (!terminal.interactive || !stdin.isTTY || yes) return;
  terminal.note(requestWords(view, terminal, nowMs(), terminal.noteColumns));
  const { confirm, isCancel } = await import("@clack/prompts");
  const answer = await confirm({ message: `${verdict} ${view.code}?`, initialValue: false });
  if (isCancel(answer) || !answer) throw new CardeaError("cancelled", "nothing was sent");
}
