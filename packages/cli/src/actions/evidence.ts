/** One file that proves a grant, and checking it without asking anybody. */
import { CardeaError } from "@cardea/core/contract/errors";
import { auditEvidence, trustDigest } from "@cardea/sdk/verify-evidence";
import type { Context } from "../context.ts";
import { offlineTrust } from "../identity/pinned-trust.ts";
import { publicClient } from "../identity/session-client.ts";
import { requestId } from "./ids.ts";
import { readUserJson, writeUserFile } from "../user-files.ts";

export interface EvidenceOptions {
  readonly output?: string;
}

export interface VerifyOptions {
  readonly trust?: string;
}

export interface TrustOptions {
  readonly output?: string;
}

export async function evidence(context: Context, id: string, { output }: EvidenceOptions): Promise<void> {
  const document = await (await context.client()).evidence(requestId(id));
  await put(
    context,
    document,
    output,
    `evidence of ${id}; \`cardea verify ${output ?? "FILE"} --trust trust.json\` checks it anywhere`,
  );
}

/** @throws CardeaError with the refusal's code where the evidence does not hold */
export async function verify(context: Context, file: string, options: VerifyOptions): Promise<void> {
  const believed = await offlineTrust(context, options.trust);
  if (believed === undefined)
    throw new CardeaError(
      "usage",
      "say by --trust which trust document you believe; `cardea trust -o trust.json` writes one, to be compared with somebody who knows it",
    );
  const { trust, source } = believed;
  const outcome = auditEvidence(await readUserJson(context, file), trust);
  if (!outcome.ok) throw new CardeaError(outcome.code, `refused: ${outcome.detail}`);
  const { terminal } = context;
  const { request, grant } = outcome.evidence;
  terminal.result(
    {
      ok: true,
      request: request.id,
      grant: grant.id,
      digest: outcome.digests.grant,
      trust: { digest: trustDigest(trust), origin: trust.origin, source },
      proven: outcome.proven,
      asserted: outcome.asserted,
      besides: outcome.besides,
    },
    [
      `${terminal.style("green", "verified")}: ${request.id}, ${grant.id}`,
      `under ${source} (${trust.origin}, ${trustDigest(trust)})`,
      ...outcome.proven.map((line) => `  ${terminal.style("green", "proven")}    ${line.replaceAll("\n", " ")}`),
      ...outcome.asserted.map((line) => `  ${terminal.style("yellow", "asserted")}  ${line.replaceAll("\n", " ")}`),
      ...outcome.besides.map((line) => `  ${terminal.style("yellow", "besides")}   ${line.replaceAll("\n", " ")}`),
    ].join("\n"),
  );
}

export async function trust(context: Context, { output }: TrustOptions): Promise<void> {
  const document = await publicClient(context.url, (await context.home()).identity).trust();
  await put(
    context,
    document,
    output,
    `trust document of ${document.origin}, digest ${trustDigest(document)}; compare the digest with somebody who knows it`,
  );
}

/** A document goes to standard output as it is, or into a file with a remark about it. */
async function put({ terminal }: Context, document: object, output: string | undefined, remark: string): Promise<void> {
  const text = JSON.stringify(document, null, 2);
  if (output === undefined) {
    terminal.result(document, text);
    return;
  }
  await writeUserFile(output, `${text}\n`);
  terminal.result({ written: output }, `${output}: ${remark}`);
}
