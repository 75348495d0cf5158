/** Runs of approved actions, and saying what came of one that nobody saw the end of. */
import type { ListedRun } from "@cardea/core/wire/api/runs";
import type { Context } from "../context.ts";
import { runWords } from "../output/run-words.ts";
import { table } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { relative } from "../output/times.ts";
import { runId } from "./ids.ts";
import { takePages } from "./pages.ts";
import { wholeNumber } from "./wish.ts";

export interface RunsOptions {
  readonly mine?: true;
  readonly resource?: string;
  readonly state?: string;
  readonly limit: string;
}

export interface ResolveOptions {
  readonly outcome: "done" | "failed";
  readonly comment: string;
}

export async function listRuns(context: Context, { mine, state, resource, limit }: RunsOptions): Promise<void> {
  const client = await context.client();
  const view = mine === true ? "mine" : "all";
  const page = await takePages(wholeNumber("--limit", limit), (query) =>
    client.runs({ view, state, resource, ...query }),
  );
  context.terminal.result(page, runTable(page.items, context.terminal, context.nowMs()));
}

export async function resolveRun(context: Context, id: string, { outcome, comment }: ResolveOptions): Promise<void> {
  const run = await (await context.client()).resolveRun(runId(id), { outcome, comment });
  context.terminal.result(run, `${run.id} ${run.state}`);
}

function runTable(runs: readonly ListedRun[], terminal: Terminal, nowMs: number): string {
  if (runs.length === 0) return "no runs";
  const rows = runs.map((run) => [
    run.id,
    run.requester.name,
    `${run.action} on ${run.resource}`,
    run.request,
    run.at === undefined ? "" : relative(run.at, nowMs),
    runWords(run, terminal),
  ]);
  return table(["run", "by", "did", "request", "when", "outcome"], rows, terminal.columns);
}
