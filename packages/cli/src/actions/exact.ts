/**
 * Asking for one exact action: shown first as the resource understands it, filed as it was shown, run once when it is approved, its answer
 * opened here. The control plane and whoever stands between see ciphertext.
 */
import type { RequestView, SubmitRequest } from "@cardea/core/wire/api/requests";
import type { ResourceView } from "@cardea/core/wire/api/operations";
import { CardeaError, isErrorCode } from "@cardea/core/contract/errors";
import type { Action } from "@cardea/core/documents/request";
import { openSealedResult } from "@cardea/sdk/delivery-key";
import type { WishOptions } from "../commands/wish-options.ts";
import type { Context } from "../context.ts";
import { findDeliveryKey } from "../keys/delivery-store.ts";
import { fileRequest, untilDecided, type WaitLimit } from "../keys/obtain.ts";
import { persistently } from "../keys/persistently.ts";
import { actionLines, estimateWords } from "../output/action-words.ts";
import { answerWords, readAnswer } from "../output/answer.ts";
import { requestWords } from "../output/request-words.ts";
import { fields } from "../output/table.ts";
import { readUserFile } from "../user-files.ts";
import { requestId } from "./ids.ts";
import { waitLimit, wishOf } from "./wish.ts";

export interface ActionOptions extends WishOptions {
  readonly sql?: string;
  readonly file?: string;
  readonly param: string[];
  readonly database?: string;
  readonly wait: boolean;
}

export interface ResultOptions {
  readonly timeout?: string;
}

/** How long after its approval an action may begin, where nothing was said. */
const defaultWindow = "5m";
const pollSeconds = 30;

export async function requestAction(context: Context, resource: string, options: ActionOptions): Promise<void> {
  const { terminal } = context;
  const limit = waitLimit(options, context.nowMs());
  const client = await context.client();
  const asked = { type: "sql", what: await statementOf(context, await client.resource(resource), options) };
  const preview = await client.preview({ resource, action: asked });
  const { estimate } = preview;
  const shown = [
    ...actionLines(preview.action, terminal, terminal.noteColumns),
    ...(estimate === undefined ? [] : [["estimate", estimateWords(estimate.rows)] as const]),
  ];
  terminal.note(fields(shown, terminal.noteColumns));
  const filed = await fileRequest(context, wishFor(preview.action, resource, options));
  if (!options.wait) {
    terminal.result(filed, requestWords(filed, terminal, context.nowMs()));
    return;
  }
  await showResult(context, filed, limit);
}

/** Goes on where `request` was left: waits for the decision and the run if need be, then fetches the answer. */
export async function result(context: Context, id: string, options: ResultOptions): Promise<void> {
  const view = await (await context.client()).request(requestId(id));
  if ("role" in view.document.asked.ask)
    throw new CardeaError("usage", `${view.id} asks for a role and has a key: \`cardea key ${view.id}\``);
  await showResult(context, view, waitLimit(options, context.nowMs()));
}

async function showResult(context: Context, filed: RequestView, limit: WaitLimit): Promise<void> {
  const decided = await untilDecided(context, filed, limit);
  const view = await untilRun(context, decided, limit);
  const { run, grant } = view;
  if (run?.state === "done" && grant !== undefined && view.document.asked.within === undefined) {
    const { deliverTo } = view.document.asked;
    const { privateKey } = await findDeliveryKey((await context.home()).directory, deliverTo, view.id);
    const client = await context.client();
    const sealed = await persistently(context, { attempts: 5 }, () => client.result(view.id));
    const answer = readAnswer(await openSealedResult(sealed, privateKey, grant.digest));
    context.terminal.result({ request: view, run, answer }, answerWords(answer, context.terminal));
    return;
  }
  throw failureOf(view);
}

/** The wish with the action exactly as it was shown: where it means something else by now, it is not filed. */
function wishFor(action: Action, resource: string, options: ActionOptions): Omit<SubmitRequest, "deliverTo"> {
  return { ...wishOf(resource, { ...options, for: options.for ?? defaultWindow }), ask: { action } };
}

async function statementOf(
  context: Context,
  resource: ResourceView,
  { sql, file, param, database }: ActionOptions,
): Promise<Action["what"]> {
  if (sql !== undefined && file !== undefined) throw new CardeaError("usage", "say either --sql or --file");
  const statement = sql ?? (await readUserFile(context, file ?? "-"));
  if (statement.trim() === "") throw new CardeaError("usage", "the statement is empty");
  return {
    database: database ?? onlyDatabase(resource),
    statement,
    ...(param.length > 0 && { params: param }),
  };
}

/** @throws CardeaError `usage` where there are several to choose from */
function onlyDatabase({ name, spec }: ResourceView): string {
  const patterns = Object.values(spec?.roles ?? {}).flatMap((role) => role.patterns);
  const facets = patterns.map(({ facets }) => facets?.["databases"]);
  const databases = new Set(facets.flatMap((facet) => (facet?.matcher === "set" ? facet.values : [])));
  const [only, another] = databases;
  if (only !== undefined && another === undefined) return only;
  const choice = databases.size === 0 ? "" : `: ${[...databases].join(", ")}`;
  throw new CardeaError("usage", `say by --database in which database of \`${name}\` it runs${choice}`);
}

/** Waits until the action's one run is over. @throws CardeaError `request_pending`, `cancelled` */
async function untilRun(context: Context, decided: RequestView, { untilMs }: WaitLimit): Promise<RequestView> {
  const { signal, nowMs, terminal } = context;
  const client = await context.client();
  let { grant } = decided;
  if (grant === undefined) throw new CardeaError("key_not_ready", `${decided.id} has no grant yet`);
  const id = grant.id;
  const goOn = `\`cardea result ${decided.id}\` goes on waiting`;
  await terminal.during(
    () => `approved; it runs at the resource (Ctrl-C does not stop it)`,
    async () => {
      while (grant?.state !== "ended" && grant?.state !== "failed") {
        const leftMs = (untilMs ?? Number.POSITIVE_INFINITY) - nowMs();
        if (leftMs <= 0) throw new CardeaError("request_pending", `${decided.id} is approved and runs; ${goOn}`);
        const wait = Math.min(pollSeconds, Math.ceil(leftMs / 1_000));
        const since = grant?.state;
        grant = await persistently(context, {}, () =>
          client.grant(id, { wait, signal, ...(since !== undefined && { since }) }),
        ).catch((error: unknown) => {
          throw signal.aborted ? new CardeaError("cancelled", `${decided.id} runs; ${goOn}`, { cause: error }) : error;
        });
      }
    },
  );
  return client.request(decided.id);
}

/** Why there is no answer. */
function failureOf({ id, run, grant, document }: RequestView): CardeaError {
  if (run?.state === "unknown")
    return new CardeaError(
      "run_unknown",
      `nobody knows whether ${id} happened; an administrator looks and says \`cardea runs resolve ${run.id} …\``,
    );
  if (run?.state === "done")
    return new CardeaError(
      "not_found",
      `${id} was done in the session ${document.asked.within?.session ?? "that held it"}, which has its answer`,
    );
  const code = run?.error?.code ?? grant?.why ?? "grant_failed";
  const words = run?.error?.message ?? grant?.detail ?? "it did not run";
  return isErrorCode(code)
    ? new CardeaError(code, `${id} was not done: ${words}`)
    : new CardeaError("resource_fault", `${id} was not done, the resource says ${code}: ${words}`);
}
