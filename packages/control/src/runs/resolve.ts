import type { z } from "zod";
import type { ListedRun, ResolveRun } from "@cardea/core/wire/api/runs";
import { CardeaError } from "@cardea/core/contract/errors";
import type { RunId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import { reportingAlterations } from "../audit/altered.ts";
import { record } from "../audit/record.ts";
import type { Actor, Control } from "../control.ts";
import { isBehind } from "../grants/see.ts";
import { originOf } from "../grants/origin.ts";
import { notify } from "../notify/notify.ts";
import { demand, demandSignIn } from "../people/demand.ts";
import { rosterIn } from "../people/roster.ts";
import { concerned, whatFor } from "../requests/tell.ts";
import { maybeOneGrantLocked } from "../store/grants.ts";
import { maybeOneRun, maybeOneRunLocked, resolveRunRow } from "../store/runs.ts";
import { transact } from "../store/transaction.ts";
import { runIds } from "./outcomes.ts";
import { listedRun } from "./view.ts";

/**
 * Says what came of a run of which nobody knew, having looked. For administrators who are not behind the request. Saying the same again is as good
 * as once.
 * @throws CardeaError `forbidden`, `token_forbidden`, `not_found`, `conflict` where it is known already
 */
export async function resolveRun(
  control: Control,
  actor: Actor,
  id: RunId,
  { outcome, comment }: z.output<typeof ResolveRun>,
): Promise<ListedRun> {
  demand(actor, "admin");
  demandSignIn(actor);
  const resolving = transact(control, async (tx) => {
    const found = await maybeOneRun(tx, { id });
    const grant = found && (await maybeOneGrantLocked(tx, control.keys, found.grant));
    const run = grant && (await maybeOneRunLocked(tx, { id }));
    if (grant === undefined || run === undefined) throw new CardeaError("not_found", `there is no run \`${id}\``);
    const { document } = await originOf(tx, control, grant);
    const roster = await rosterIn(tx, control);
    if (isBehind(document, roster, actor.subject))
      throw new CardeaError("forbidden", "somebody else must look: this is your own, or your agent's");
    if (run.resolved?.outcome === outcome && run.resolved.by === actor.subject) return listedRun(roster, run);
    if (run.state !== "unknown")
      throw new CardeaError("conflict", `what came of the run is known: it is \`${run.state}\``);
    const at = toTime(control.clock.now());
    const resolved = { outcome, at, by: actor.subject, comment };
    await resolveRunRow(tx, run, resolved);
    await record(tx, control, {
      type: "run.resolved",
      ids: runIds(grant, id, run.session),
      data: { grant: grant.signed.digest, outcome, comment },
      actor: actor.subject,
    });
    await notify(tx, control, {
      type: "run.resolved",
      to: concerned(document),
      request: document.id,
      grant: grant.id,
      words: `${actor.name} found that ${whatFor(document)} was ${outcome === "done" ? "done" : "not done"}: ${comment}`,
      command: `cardea show ${document.id}`,
    });
    control.wake.signal("requests", tx);
    return listedRun(roster, { ...run, state: outcome, resolved });
  });
  return await reportingAlterations(control, resolving);
}
