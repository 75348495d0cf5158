/** What can be asked for, and registering one's own. */
import type { OutpostView, ResourceView } from "@cardea/core/wire/api/operations";
import { configureInfo } from "@cardea/core/contract/outpost-marks";
import { CardeaError } from "@cardea/core/contract/errors";
import type { CardeaClient } from "@cardea/sdk/client";
import { sealTo } from "@cardea/sdk/delivery-key";
import type { Context } from "../context.ts";
import { oneLine } from "../output/clean.ts";
import { table } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { takeAll } from "./pages.ts";
import { readResources } from "./resource-file.ts";

export interface ApplyOptions {
  readonly outpost?: string;
}

export async function listResources(context: Context): Promise<void> {
  const client = await context.client();
  const items = await takeAll((query) => client.resources(query));
  context.terminal.result({ items }, resourceTable(items, context.terminal));
}

export async function showResource(context: Context, name: string): Promise<void> {
  const view = await (await context.client()).resource(name);
  context.terminal.result(view, resourceWords(view, context.terminal));
}

export async function checkResource(context: Context, name: string): Promise<number> {
  const view = await (await context.client()).checkResource(name);
  context.terminal.result(view, resourceWords(view, context.terminal));
  return exitOf([view]);
}

export async function removeResource(context: Context, name: string): Promise<void> {
  await (await context.client()).removeResource(name);
  context.terminal.result({ removed: name }, `\`${name}\` is removed`);
}

/** Registers every entry of a file. The configuration, credentials included, is sealed to the outpost here; the control plane cannot read it. */
export async function applyResources(context: Context, file: string, options: ApplyOptions): Promise<number> {
  const entries = await readResources(context, file);
  const client = await context.client();
  const outpost = await chooseOutpost(client, options.outpost);
  const views: ResourceView[] = [];
  for (const entry of entries) {
    const sealed = await sealTo(
      outpost.sealKey,
      new TextEncoder().encode(JSON.stringify(entry)),
      entry.name,
      configureInfo,
    );
    views.push(await client.applyResource(entry.name, { outpost: outpost.id, sealed }));
  }
  context.terminal.result(views, views.map((view) => resourceWords(view, context.terminal)).join("\n\n"));
  return exitOf(views);
}

/** A fault where a resource cannot be used as it is; what is wrong was said. */
function exitOf(views: readonly ResourceView[]): number {
  return views.every(({ state }) => state === "ready" || state === "degraded") ? 0 : 1;
}

async function chooseOutpost(client: CardeaClient, wanted: string | undefined): Promise<OutpostView> {
  const outposts = await takeAll((query) => client.outposts(query));
  const [outpost, another] = outposts.filter(
    ({ name, id }) => wanted === undefined || name === wanted || id === wanted,
  );
  if (outpost !== undefined && another === undefined) return outpost;
  if (outposts.length === 0)
    throw new CardeaError("outpost_unknown", "no outpost is enrolled; `cardea outposts invite` makes a token for one");
  throw new CardeaError(
    "outpost_unknown",
    `say which outpost by --outpost: ${outposts.map(({ name }) => name).join(", ")}`,
  );
}

function resourceTable(views: readonly ResourceView[], terminal: Terminal): string {
  if (views.length === 0) return "no resources";
  const rows = views.map((view) => {
    const offers = view.offers.filter(({ effect }) => effect !== "deny").map(offerWords);
    return [
      view.name,
      view.kind,
      view.outpost.connected ? stateWords(view, terminal) : terminal.style("red", "outpost away"),
      offers.length === 0 ? "nothing for you" : offers.join("; "),
    ];
  });
  return table(["resource", "kind", "state", "what you could ask for"], rows, terminal.columns);
}

/** For people to read: what it is, what one could ask for, what is wrong with it, what everybody there may anyway. */
export function resourceWords(view: ResourceView, terminal: Terminal): string {
  const labels = Object.entries(view.labels).map(([key, value]) => `${key}=${value}`);
  return [
    `${terminal.style("bold", view.name)} (${view.kind}${view.version === undefined ? "" : `, ${view.version}`}) is ${stateWords(view, terminal)}${view.detail === undefined ? "" : `: ${view.detail}`}`,
    `  outpost ${view.outpost.name}${view.outpost.connected ? "" : " (not connected)"}${labels.length === 0 ? "" : `; labels ${labels.join(", ")}`}`,
    ...view.offers.map(
      (offer) => `  role ${offer.effect === "deny" ? `${offer.role}: you: refused by policy` : offerWords(offer)}`,
    ),
    ...view.missing.flatMap(({ what, fix }) => [
      `  missing: ${what}`,
      ...(fix === undefined ? [] : [`    fix: ${fix}`]),
    ]),
    ...view.warnings.map((warning) => `  note: ${warning}`),
    ...(view.publicPrivileges?.summary ?? []).map((may) => `  everybody may: ${oneLine(may)}`),
  ].join("\n");
}

function offerWords({ role, words, maxDuration }: ResourceView["offers"][number]): string {
  return `${role}: ${words}${maxDuration === undefined ? "" : `, up to ${maxDuration}`}`;
}

function stateWords({ state }: ResourceView, terminal: Terminal): string {
  const colour = { ready: "green", degraded: "yellow", unreachable: "red", invalid: "red", unknown: "gray" } as const;
  return terminal.style(colour[state], state);
}
