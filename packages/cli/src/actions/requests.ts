/** Asking, and looking at what was asked. */
import type { RequestView } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import type { WishOptions } from "../commands/wish-options.ts";
import type { Context } from "../context.ts";
import { forgetDeliveryKey } from "../keys/delivery-store.ts";
import { fileRequest, takeKey, untilDecided } from "../keys/obtain.ts";
import { keepAuthority } from "../keys/authority.ts";
import { connectionUri } from "../keys/render.ts";
import { requestTable, requestWords } from "../output/request-words.ts";
import { fields } from "../output/table.ts";
import { grantId, requestId } from "./ids.ts";
import { takePages } from "./pages.ts";
import { waitLimit, wholeNumber, wishOf } from "./wish.ts";

export interface RequestOptions extends WishOptions {
  readonly wait: boolean;
  readonly extends?: string;
}

export interface ListOptions {
  readonly mine?: true;
  readonly toApprove?: true;
  readonly state?: string;
  readonly resource?: string;
  readonly limit: string;
}

export interface KeyOptions {
  readonly show?: true;
  readonly uri?: true;
  readonly timeout?: string;
}

export async function request(context: Context, resource: string, options: RequestOptions): Promise<void> {
  const limit = waitLimit(options, context.nowMs());
  const filed = await fileRequest(context, wishOf(resource, options));
  const decided = options.wait ? await untilDecided(context, filed, limit) : filed;
  if (!options.wait || decided.grant?.state === "scheduled") {
    showView(context, decided);
    return;
  }
  const { grant, key } = await takeKey(context, decided);
  context.terminal.result(
    { request: decided, grant, key: { user: key.user, endpoint: key.endpoint, notAfter: key.notAfter } },
    [
      `${grant.id} is active until ${key.notAfter}`,
      `use it:       cardea connect ${grant.resource} --role ${grant.role ?? "read"}`,
      `see it:       cardea key ${decided.id} --show`,
      `give it back: cardea release ${grant.id}`,
    ].join("\n"),
  );
}

export async function listRequests(
  context: Context,
  { mine, toApprove, state, resource, limit }: ListOptions,
): Promise<void> {
  const client = await context.client();
  const view = toApprove === true ? "to-approve" : mine === true ? "mine" : "all";
  const page = await takePages(wholeNumber("--limit", limit), (query) =>
    client.requests({ view, state, resource, ...query }),
  );
  context.terminal.result(page, requestTable(page.items, context.terminal, context.nowMs()));
}

export async function showRequest(context: Context, id: string): Promise<void> {
  showView(context, await (await context.client()).request(requestId(id)));
}

export async function withdrawRequest(context: Context, id: string): Promise<void> {
  const view = await (await context.client()).withdraw(requestId(id));
  await forgetDeliveryKey((await context.home()).directory, view.document.asked.deliverTo);
  context.terminal.result(view, `${view.id} ${view.state}`);
}

/** Goes on where `request` was left: waits for the decision if need be, then fetches the key. */
export async function showKey(context: Context, id: string, { show, uri, timeout }: KeyOptions): Promise<void> {
  const client = await context.client();
  const limit = waitLimit({ ...(timeout !== undefined && { timeout }) }, context.nowMs());
  const asked = id.startsWith("req_") ? requestId(id) : (await client.grant(grantId(id))).request;
  const view = await client.request(asked);
  if ("action" in view.document.asked.ask)
    throw new CardeaError(
      "usage",
      `${view.id} asks for one action and has no key; \`cardea result ${view.id}\` has its answer`,
    );
  const { grant, key } = await takeKey(context, await untilDecided(context, view, limit));
  const { secret, ...rest } = key;
  if (uri === true) {
    const kept = connectionUri(key, await keepAuthority(key, (await context.home()).directory));
    context.terminal.result({ ...key, uri: kept }, kept);
    return;
  }
  const shown = show === true;
  const words = fields([
    ["grant", grant.id],
    ["until", key.notAfter],
    ["user", key.user],
    ["password", shown ? secret : "(--show prints it, --uri a connection string)"],
    ["via", key.via],
    // An authority is many lines, for programs: `--json` has it, `--uri` keeps it in a file.
    ...Object.entries(key.endpoint).flatMap(([name, value]) => (name === "ca" ? [] : [[name, String(value)] as const])),
  ]);
  context.terminal.result(shown ? key : rest, words);
}

function showView({ terminal, nowMs }: Context, view: RequestView): void {
  terminal.result(view, requestWords(view, terminal, nowMs()));
}
