/** What is granted, and ending it. */
import type { GrantView } from "@cardea/core/wire/api/grants";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Context } from "../context.ts";
import { forgetDeliveryKey } from "../keys/delivery-store.ts";
import { fileRequest, takeKey, untilDecided } from "../keys/obtain.ts";
import { persistently } from "../keys/persistently.ts";
import { table } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { relative } from "../output/times.ts";
import { tellOwedReviews } from "./owed-reviews.ts";
import { grantId } from "./ids.ts";
import { takePages } from "./pages.ts";
import { duration, waitLimit, wholeNumber } from "./wish.ts";

export interface KeysOptions {
  readonly all?: true;
  readonly ended?: true;
  readonly toReview?: true;
  readonly limit: string;
}

export interface ReleaseOptions {
  readonly wait: boolean;
}

export interface RevokeOptions {
  readonly comment: string;
}

export interface ExtendOptions {
  readonly for: string;
  readonly why?: string;
  readonly timeout?: string;
}

export async function listKeys(context: Context, { all, ended, toReview, limit }: KeysOptions): Promise<void> {
  const client = await context.client();
  const view = toReview === true ? "to-review" : all !== true ? "mine" : ended === true ? "all" : "live";
  const page = await takePages(wholeNumber("--limit", limit), (query) => client.grants({ view, ...query }));
  const items =
    view === "mine" && ended !== true
      ? page.items.filter(({ state }) => state !== "ended" && state !== "failed")
      : page.items;
  context.terminal.result({ ...page, items }, grantTable(items, context.terminal, context.nowMs()));
  if (view !== "to-review") await tellOwedReviews(context, client);
}

export async function release(context: Context, id: string, { wait }: ReleaseOptions): Promise<void> {
  const client = await context.client();
  const { signal, terminal } = context;
  let grant = await client.release(grantId(id));
  const stuck = () =>
    grant.lease?.stuck === true ? `, stuck: ${grant.lease.detail ?? "the resource does not let go"}` : "";
  await terminal.during(
    () => `${grant.id}: ending${stuck()}`,
    async () => {
      while (wait && grant.state === "ending")
        grant = await persistently(context, {}, () => client.grant(grant.id, { wait: 30, since: "ending", signal }));
    },
  );
  const { deliverTo } = (await client.request(grant.request)).document.asked;
  await forgetDeliveryKey((await context.home()).directory, deliverTo);
  terminal.result(grant, outcomeWords(grant));
}

export async function revoke(context: Context, id: string, { comment }: RevokeOptions): Promise<void> {
  const grant = await (await context.client()).revoke(grantId(id), comment);
  context.terminal.result(grant, outcomeWords(grant));
}

export async function extend(context: Context, id: string, options: ExtendOptions): Promise<void> {
  const client = await context.client();
  const grant = await client.grant(grantId(id));
  const { asked } = (await client.request(grant.request)).document;
  if (!("role" in asked.ask))
    throw new CardeaError("extends_invalid", "an exact action cannot be extended; ask for it again");
  const filed = await fileRequest(context, {
    resource: asked.resource,
    ask: asked.ask,
    justification: options.why ?? asked.justification,
    window: { duration: duration("--for", options.for) },
    extends: grant.id,
    ...(asked.ticket !== undefined && { ticket: asked.ticket }),
    ...(asked.via !== undefined && { via: asked.via }),
    ...(asked.limits !== undefined && { limits: asked.limits }),
  });
  const taken = await takeKey(context, await untilDecided(context, filed, waitLimit(options, context.nowMs())));
  context.terminal.result(
    { request: filed, grant: taken.grant },
    `${taken.grant.id} is active until ${taken.key.notAfter}; it has a key of its own (\`cardea key ${filed.id}\`), the old one ends as it would have`,
  );
}

function outcomeWords(grant: GrantView): string {
  return `${grant.id} ${grant.state}${grant.why === undefined ? "" : ` (${grant.why})`}`;
}

function grantTable(grants: readonly GrantView[], terminal: Terminal, nowMs: number): string {
  if (grants.length === 0) return "no grants";
  const colour = {
    scheduled: "yellow",
    issuing: "yellow",
    active: "green",
    ending: "yellow",
    ended: "gray",
    failed: "red",
  } as const;
  const rows = grants.map((grant) => {
    const remarks = [
      ...(grant.why === undefined ? [] : [`(${grant.why})`]),
      ...(grant.lease?.stuck === true ? [terminal.style("red", "stuck")] : []),
      ...(grant.sessions === undefined || grant.sessions.open === 0 ? [] : [`${grant.sessions.open} open`]),
      ...(grant.reviewOwed ? [terminal.style("yellow", "review owed")] : []),
    ];
    return [
      grant.id,
      [terminal.style(colour[grant.state], grant.state), ...remarks].join(" "),
      grant.requester.name,
      grant.resource,
      grant.role ?? "(action)",
      relative(grant.endedAt ?? grant.document.window.notAfter, nowMs),
    ];
  });
  return table(["grant", "state", "by", "resource", "role", "ends"], rows, terminal.columns);
}
