/** `resources`, `resource check|apply`: what can be asked for, and registering one's own. */
import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import type { ResourceView } from "@cardea/core/contract/api/operations";
import { CardeaError } from "@cardea/core/contract/errors";
import { sealTo } from "@cardea/sdk/delivery-key";
import { resourceSealing } from "@cardea/core/contract/enrolment";
import { userPath } from "../context.ts";
import type { Terminal } from "../output/terminal.ts";
import { table } from "../output/table.ts";
import type { Registry } from "../program.ts";

export function addResourceCommands({ program, context }: Registry): void {
  program
    .command("resources")
    .description("what can be asked for, and what policy would say")
    .action(async () => {
      const running = context();
      const page = await (await running.client()).resources();
      running.terminal.result(page, resourceTable(page.items, running.terminal));
    });

  const resource = program.command("resource").description("one resource: look, check, register");
  resource
    .command("show")
    .argument("<name>")
    .action(async (name: string) => {
      const running = context();
      const view = await (await running.client()).resource(name);
      running.terminal.result(view, resourceWords(view));
    });
  resource
    .command("check")
    .argument("<name>")
    .description("have the outpost look at it now: reachable, and every privilege there")
    .action(async (name: string) => {
      const running = context();
      const view = await (await running.client()).checkResource(name);
      running.terminal.result(view, resourceWords(view));
    });
  resource
    .command("apply")
    .argument("<file>", "a YAML file with one entry of `resources`, or several")
    .description("register or change resources; the configuration is sealed to the outpost before it leaves this machine")
    .option("--outpost <name>", "which outpost; needed where there are several")
    .action(async (file: string, options: { outpost?: string }) => {
      const running = context();
      const client = await running.client();
      const { items } = await client.outposts();
      const matching = items.filter(({ name, id }) => options.outpost === undefined || name === options.outpost || id === options.outpost);
      const [outpost] = matching;
      if (outpost === undefined || matching.length > 1) throw new CardeaError("outpost_unknown", `say which outpost by --outpost: ${items.map(({ name }) => name).join(", ") || "none is enrolled"}`);
      const views: ResourceView[] = [];
      for (const entry of await readEntries(file)) {
        const { additionalData, info } = resourceSealing(outpost.id, entry.name);
        const sealed = await sealTo(outpost.sealKey, new TextEncoder().encode(JSON.stringify(entry)), additionalData, info);
        views.push(await client.applyResource(entry.name, { outpost: outpost.id, sealed }));
      }
      running.terminal.result(views, views.map(resourceWords).join("\n\n"));
    });
}

async function readEntries(file: string): Promise<{ name: string }[]> {
  const text = await readFile(userPath(file), "utf8").catch((cause: unknown) => {
    throw new CardeaError("usage", `\`${file}\` cannot be read`, { cause });
  });
  const document: unknown = parse(text, { maxAliasCount: 10 });
  const entries: unknown = typeof document === "object" && document !== null && "resources" in document ? document.resources : [document];
  if (!Array.isArray(entries)) throw new CardeaError("resource_config_invalid", `\`${file}\`: \`resources\` is not a list`);
  return entries.map((entry: unknown) => {
    if (typeof entry === "object" && entry !== null && "name" in entry && typeof entry.name === "string") return { ...entry, name: entry.name };
    throw new CardeaError("resource_config_invalid", `\`${file}\`: an entry has no name`);
  });
}

function resourceTable(views: readonly ResourceView[], terminal: Terminal): string {
  if (views.length === 0) return "no resources";
  const rows = views.map((view) => [view.name, view.kind, view.outpost.connected ? view.state : "outpost away", view.offers.filter(({ effect }) => effect !== "deny").map(({ role, words, maxDuration }) => `${role}: ${words}${maxDuration === undefined ? "" : `, up to ${maxDuration}`}`).join("; ") || "nothing for you"]);
  return table(["resource", "kind", "state", "what you could ask for"], rows, terminal.columns);
}

function resourceWords(view: ResourceView): string {
  return [
    `${view.name} (${view.kind}${view.version === undefined ? "" : `, ${view.version}`}) is ${view.state}${view.detail === undefined ? "" : `: ${view.detail}`}`,
    `  outpost ${view.outpost.name}${view.outpost.connected ? "" : " (not connected)"}; labels ${Object.entries(view.labels).map(([key, value]) => `${key}=${value}`).join(", ")}`,
    ...view.offers.map(({ role, effect, words, maxDuration }) => `  role ${role}: ${effect === "deny" ? "refused" : words}${maxDuration === undefined ? "" : `, up to ${maxDuration}`}`),
    ...view.missing.flatMap(({ what, fix }) => [`  missing: ${what}`, ...(fix === undefined ? [] : [`    fix: ${fix}`])]),
    ...view.warnings.map((warning) => `  note: ${warning}`),
  ].join("\n");
}
