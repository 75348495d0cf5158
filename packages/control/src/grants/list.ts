import type { z } from "zod";
import type { GrantsQuery, GrantView } from "@cardea/core/wire/api/grants";
import type { Page } from "@cardea/core/wire/api/conventions";
import { CardeaError } from "@cardea/core/contract/errors";
import { GrantId } from "@cardea/core/contract/ids";
import type { GrantState } from "@cardea/core/lifecycle/states";
import { reportAltered, unlessAltered } from "../audit/altered.ts";
import type { Actor, Control } from "../control.ts";
import { currentRoster } from "../people/roster.ts";
import { manyGrants, type GrantFilter } from "../store/grants.ts";
import { isReviewer, maybeSee, type SeenGrant } from "./see.ts";
import { useOf } from "./use.ts";
import { grantView } from "./view.ts";

const live: readonly GrantState[] = ["scheduled", "issuing", "active", "ending"];
/** Rows looked at for one page at most. */
const maxLookedAt = 2_000;
const rowsAtOnce = 200;

/** Grants that the caller may see, newest first. The cursor is the last grant's id. */
export async function listGrants(
  control: Control,
  actor: Actor,
  query: z.output<typeof GrantsQuery>,
): Promise<Page<GrantView>> {
  const roster = await currentRoster(control);
  const items: GrantView[] = [];
  let before = cursorOf(query.cursor);
  for (let looked = 0; looked < maxLookedAt; looked += rowsAtOnce) {
    const rows = await manyGrants(control.db, control.keys, { ...filterOf(actor, query), before, limit: rowsAtOnce });
    const uses = await useOf(
      control,
      rows.flatMap((row) => ("altered" in row ? [] : [row])),
    );
    for (const row of rows) {
      const seen =
        "altered" in row ? undefined : await unlessAltered(control, maybeSee(control.db, control, actor, roster, row));
      if ("altered" in row) await reportAltered(control, row.altered);
      if (seen !== undefined && belongs(actor, seen, query)) {
        if (items.length === query.limit) return { items, next: items.at(-1)?.id };
        items.push(grantView(roster, seen.grant, uses.get(seen.grant.id)));
      }
      before = "altered" in row ? row.altered : row.id;
    }
    if (rows.length < rowsAtOnce) return { items };
  }
  return before === undefined ? { items } : { items, next: before };
}

function filterOf(
  actor: Actor,
  { state, resource, view }: z.output<typeof GrantsQuery>,
): Omit<GrantFilter, "before" | "limit"> {
  const states = state === undefined ? (view === "live" ? live : undefined) : [state];
  return {
    states,
    resource,
    concerning: view === "mine" ? actor.subject : undefined,
    reviewOwed: view === "to-review",
  };
}

function belongs(actor: Actor, seen: SeenGrant, { view }: z.output<typeof GrantsQuery>): boolean {
  return view !== "to-review" || isReviewer(seen, actor.subject);
}

function cursorOf(text: string | undefined): GrantId | undefined {
  if (text === undefined) return undefined;
  const parsed = GrantId.safeParse(text);
  if (!parsed.success)
    throw new CardeaError("invalid_request", "the cursor is not one of ours", {
      pointers: [{ path: "cursor", message: "not a cursor" }],
    });
  return parsed.data;
}
