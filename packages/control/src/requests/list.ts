import type { z } from "zod";
import type { Page } from "@cardea/core/wire/api/conventions";
import type { RequestsQuery, RequestView } from "@cardea/core/wire/api/requests";
import { RequestId } from "@cardea/core/contract/ids";
import { CardeaError } from "@cardea/core/contract/errors";
import { mayVote } from "@cardea/core/approval/eligible";
import { tally } from "@cardea/core/approval/tally";
import { toTime } from "@cardea/core/documents/primitives";
import type { Vote } from "@cardea/core/documents/vote";
import { reportAltered, unlessAltered } from "../audit/altered.ts";
import type { Actor, Control } from "../control.ts";
import { currentRoster, type RosterView } from "../people/roster.ts";
import { maybeOneGrant } from "../store/grants.ts";
import { manyRequests, manyVotes, type RequestFilter, type StoredRequest } from "../store/requests.ts";
import { maybeOneRun } from "../store/runs.ts";
import type { Signed } from "../store/signed.ts";
import { maySee, requestView } from "./view.ts";

/** Rows looked at for one page at most: who may see little does not make the database read everything. */
const maxLookedAt = 2_000;
const rowsAtOnce = 200;

/** Requests that the caller may see, newest first. The cursor is the last request's id, so a page never repeats or skips one. */
export async function listRequests(
  control: Control,
  actor: Actor,
  query: z.output<typeof RequestsQuery>,
): Promise<Page<RequestView>> {
  const roster = await currentRoster(control);
  const nowMs = control.clock.now();
  const items: RequestView[] = [];
  let before = cursorOf(query.cursor);
  for (let looked = 0; looked < maxLookedAt; looked += rowsAtOnce) {
    const rows = await manyRequests(control.db, control.keys, {
      ...filterOf(actor, roster, query),
      before,
      limit: rowsAtOnce,
    });
    for (const row of rows) {
      if ("altered" in row) await reportAltered(control, row.altered);
      const view =
        "altered" in row
          ? undefined
          : await unlessAltered(control, viewOf({ control, actor, roster, query, nowMs }, row));
      if (view !== undefined && items.length === query.limit) return { items, next: items.at(-1)?.id };
      if (view !== undefined) items.push(view);
      before = "altered" in row ? row.altered : row.id;
    }
    if (rows.length < rowsAtOnce) return { items };
  }
  return before === undefined ? { items } : { items, next: before };
}

interface Looking {
  readonly control: Control;
  readonly actor: Actor;
  readonly roster: RosterView;
  readonly query: z.output<typeof RequestsQuery>;
  readonly nowMs: number;
}

/** The request as listed, or undefined where it does not belong in this list. */
async function viewOf(
  { control, actor, roster, query, nowMs }: Looking,
  request: StoredRequest,
): Promise<RequestView | undefined> {
  const votes = await manyVotes(control.db, control.keys, request.id);
  if (!belongs(actor, roster, request, votes, query, nowMs)) return undefined;
  const grant =
    request.state === "approved" ? await maybeOneGrant(control.db, control.keys, { request: request.id }) : undefined;
  const run =
    grant !== undefined && grant.role === undefined
      ? await maybeOneRun(control.db, { request: request.id })
      : undefined;
  return requestView({ roster, actor: actor.subject, request, votes, grant, run, nowMs });
}

function filterOf(
  actor: Actor,
  roster: RosterView,
  { state, resource, requester, view }: z.output<typeof RequestsQuery>,
): Omit<RequestFilter, "before" | "limit"> {
  const { groups } = roster.entry(actor.subject) ?? actor.entry;
  const oversees = actor.permissions.includes("auditor") || actor.permissions.includes("admin");
  return {
    state: view === "to-approve" ? "pending" : state,
    resource,
    requester,
    concerning: view === "mine" ? actor.subject : undefined,
    visibleTo: oversees || view !== "all" ? undefined : { subject: actor.subject, groups },
  };
}

function belongs(
  actor: Actor,
  roster: RosterView,
  request: StoredRequest,
  votes: readonly Signed<Vote>[],
  { view, state }: z.output<typeof RequestsQuery>,
  nowMs: number,
): boolean {
  if (!maySee(actor, roster, request, votes)) return false;
  if (view !== "to-approve") return true;
  if (state !== undefined && state !== "pending") return false;
  const entries = (id: Actor["subject"]) => roster.entry(id);
  const now = toTime(nowMs);
  const counted = tally({ request: request.signed.document, votes: votes.map((vote) => vote.document), entries, now });
  return mayVote({
    request: request.signed.document,
    tally: counted,
    approver: actor.subject,
    verdict: "approve",
    entries,
    now,
  }).ok;
}

function cursorOf(text: string | undefined): RequestId | undefined {
  if (text === undefined) return undefined;
  const parsed = RequestId.safeParse(text);
  if (!parsed.success)
    throw new CardeaError("invalid_request", "the cursor is not one of ours", {
      pointers: [{ path: "cursor", message: "not a cursor" }],
    });
  return parsed.data;
}
