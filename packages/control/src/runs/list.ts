import type { z } from "zod";
import type { Page } from "@cardea/core/wire/api/conventions";
import type { ListedRun, RunsQuery } from "@cardea/core/wire/api/runs";
import { CardeaError } from "@cardea/core/contract/errors";
import { RunId } from "@cardea/core/contract/ids";
import type { Actor, Control } from "../control.ts";
import { currentRoster } from "../people/roster.ts";
import { manyRuns } from "../store/runs.ts";
import { listedRun } from "./view.ts";

/** Runs, newest first: everybody's for auditors and administrators, one's own for anybody else. The cursor is the last run's id. */
export async function listRuns(
  control: Control,
  actor: Actor,
  { state, resource, view, limit, cursor }: z.output<typeof RunsQuery>,
): Promise<Page<ListedRun>> {
  const overseer = actor.permissions.includes("auditor") || actor.permissions.includes("admin");
  const [roster, rows] = await Promise.all([
    currentRoster(control),
    manyRuns(control.db, {
      state,
      resource,
      concerning: view === "all" && overseer ? undefined : actor.subject,
      before: cursorOf(cursor),
      limit: limit + 1,
    }),
  ]);
  const shown = rows.slice(0, limit);
  const next = rows.length > limit ? shown.at(-1)?.id : undefined;
  return { items: shown.map((row) => listedRun(roster, row)), ...(next !== undefined && { next }) };
}

function cursorOf(text: string | undefined): RunId | undefined {
  if (text === undefined) return undefined;
  const parsed = RunId.safeParse(text);
  if (!parsed.success)
    throw new CardeaError("invalid_request", "the cursor is not one of ours", {
      pointers: [{ path: "cursor", message: "not a cursor" }],
    });
  return parsed.data;
}
