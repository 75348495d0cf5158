/**
 * Runs of approved actions: what outposts tell of them (here), listing them, fetching their answers, and finding out what came of one of which nobody
 * knew. An outpost is heard on its own grants only. What it tells comes at least once and in any order, and moves nothing backwards; how a run
 * went is its word, signed, and bound to exactly the action that was approved.
 */
import type { Enrolment } from "@cardea/core/wire/enrolment";
import { RunResolved } from "@cardea/core/wire/action-events";
import { CardeaError } from "@cardea/core/contract/errors";
import { GrantId, RunId } from "@cardea/core/contract/ids";
import { actionText, type Action, type Request } from "@cardea/core/documents/request";
import { digestOf } from "@cardea/core/documents/digest";
import { toPlainText } from "@cardea/core/documents/primitives";
import { verifyDigest } from "@cardea/core/documents/signature";
import { fromBase64Url } from "@cardea/core/lib/base64url";
import type { LinkEvent, TaskResult } from "@cardea/core/wire/link";
import { record } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import { grantIds } from "../grants/ids.ts";
import { originOf } from "../grants/origin.ts";
import { grantSpent, ownGrant } from "../grants/outcomes.ts";
import { notify } from "../notify/notify.ts";
import { rosterIn } from "../people/roster.ts";
import { concerned, whatFor } from "../requests/tell.ts";
import type { StoredGrant } from "../store/grants.ts";
import {
  endRun,
  insertEndedRun,
  insertResult,
  insertRunningRun,
  maybeOneRunLocked,
  resolveRunRow,
  type NewRun,
  type RunEnd,
  type StoredRun,
} from "../store/runs.ts";
import { closeTasks } from "../store/tasks.ts";

type Ran = Extract<TaskResult, { type: "ran" }>;

/** A run's grant and where that came from; the grant is locked. */
interface Known {
  readonly grant: StoredGrant;
  readonly origin: Request;
  readonly action: Action;
}

/**
 * The one run of an action's grant is over, and with it the grant.
 * @throws CardeaError `link_message_invalid` for what is not of this outpost, or not of what was approved
 */
export async function ran(tx: Tx, control: Control, outpost: Enrolment, result: Ran): Promise<void> {
  const known = await knownOf(tx, control, outpost, result.grant);
  const { grant } = known;
  refuseOther(known, outpost, result);
  const { run, sealed, error, signature } = result;
  const end: RunEnd = {
    document: run,
    signature,
    error: error && { code: toPlainText(error.code, 64), message: toPlainText(error.message, 2_000) },
  };
  const before = await maybeOneRunLocked(tx, { grant: grant.id });
  if (before !== undefined && before.id !== run.id)
    throw new CardeaError("link_message_invalid", `grant \`${grant.id}\` was run as \`${before.id}\` already`);
  if (before?.endedAt !== undefined) return;
  if (before === undefined) await insertEndedRun(tx, newRun(known, outpost, run.id, run.at), end);
  else await endRun(tx, run.id, end);
  if (sealed !== undefined) await insertResult(tx, run.id, sealed, run.at);
  await record(tx, control, {
    type: `run.${run.outcome}`,
    ids: runIds(grant, run.id, run.session),
    data: {
      run: digestOf("run", run),
      rowCount: run.rowCount,
      resultDigest: run.resultDigest,
      ...(end.error !== undefined && { code: end.error.code }),
    },
    at: run.at,
  });
  await closeTasks(tx, { grant: grant.id, types: ["run"] }, { state: "done", at: run.at });
  await grantSpent(tx, control, grant, run.at);
  if (before?.resolved !== undefined && run.outcome === "unknown")
    await resolveRunRow(tx, { id: run.id, state: "unknown" }, before.resolved);
  else await tellOfRun(tx, control, known, run.outcome, end);
  control.wake.signal("requests", tx);
}

/** The action's bytes are about to be sent. */
export async function runStarted(tx: Tx, control: Control, outpost: Enrolment, event: LinkEvent): Promise<void> {
  const { grant: grantId, run } = idsOf(event);
  const known = await knownOf(tx, control, outpost, grantId);
  if ((await maybeOneRunLocked(tx, { grant: grantId })) === undefined)
    await insertRunningRun(tx, newRun(known, outpost, run, event.at));
  await recordTold(tx, control, known, event, {});
  control.wake.signal("requests", tx);
}

/** The outpost found out what came of a run of which nobody knew. What a person said of it first stands. */
export async function runResolved(tx: Tx, control: Control, outpost: Enrolment, event: LinkEvent): Promise<void> {
  const { grant: grantId, run } = idsOf(event);
  const said = RunResolved.safeParse(event.data);
  if (!said.success) throw new CardeaError("link_message_invalid", "`run.resolved` does not have its form");
  const known = await knownOf(tx, control, outpost, grantId);
  let row = await maybeOneRunLocked(tx, { grant: grantId });
  if (row === undefined) {
    // The receipt that nobody knows is still to come.
    await insertRunningRun(tx, newRun(known, outpost, run, event.at));
    row = await maybeOneRunLocked(tx, { grant: grantId });
  }
  const { outcome } = said.data;
  const open = row !== undefined && row.id === run && row.resolved === undefined;
  if (row !== undefined && open && (row.state === "unknown" || row.state === "running"))
    await resolveRunRow(tx, row, { outcome, at: event.at });
  await recordTold(tx, control, known, event, { outcome });
  if (open) await tellResolved(tx, control, known, outcome);
  control.wake.signal("requests", tx);
}

function idsOf({ ids, type }: LinkEvent): { readonly grant: GrantId; readonly run: RunId } {
  const grant = GrantId.safeParse(ids["grant"]);
  const run = RunId.safeParse(ids["run"]);
  if (grant.success && run.success) return { grant: grant.data, run: run.data };
  throw new CardeaError("link_message_invalid", `\`${type}\` names no run and its grant`);
}

async function knownOf(tx: Tx, control: Control, outpost: Enrolment, id: GrantId): Promise<Known> {
  const grant = await ownGrant(tx, control, outpost.id, id);
  const { permissions } = grant.signed.document;
  if (!("action" in permissions) || grant.state === "scheduled")
    throw new CardeaError("link_message_invalid", `grant \`${id}\` has no action to run now`);
  const { document: origin } = await originOf(tx, control, grant);
  return { grant, origin, action: permissions.action };
}

/** @throws CardeaError `link_message_invalid` unless the outpost signed a run of exactly what was approved */
function refuseOther({ grant, origin, action }: Known, outpost: Enrolment, { run, signature, sealed }: Ran): void {
  const invalid = (why: string) =>
    new CardeaError("link_message_invalid", `the run told of grant \`${grant.id}\` ${why}`);
  if (run.grant !== grant.signed.digest) throw invalid("is of another grant");
  if (run.session !== origin.asked.within?.session) throw invalid("is of another session");
  if (actionText({ ...action, binding: run.binding }) !== actionText(action)) throw invalid("is of something else");
  if (!verifyDigest(signature, "outpost", fromBase64Url(outpost.identityKey), digestOf("run", run)))
    throw invalid("does not bear the outpost's signature");
  const digest = sealed === undefined ? undefined : digestOf("sealed", sealed);
  if (digest !== run.resultDigest) throw invalid("has another answer than it names");
  if (sealed !== undefined && origin.asked.deliverTo === undefined)
    throw invalid("has an answer that nobody asked for");
}

function newRun({ grant, origin, action }: Known, outpost: Enrolment, id: RunId, at: NewRun["at"]): NewRun {
  return {
    id,
    request: grant.request,
    grant: grant.id,
    session: origin.asked.within?.session,
    outpost: outpost.id,
    requester: grant.requester,
    onBehalfOf: grant.onBehalfOf,
    resource: grant.resource,
    action: toPlainText(action.name, 100),
    at,
  };
}

/** Ids of a run for the log. */
export function runIds(grant: StoredGrant, run: RunId, session: StoredRun["session"]): Record<string, string> {
  return { ...grantIds(grant), run, ...(session !== undefined && { session }) };
}

function recordTold(
  tx: Tx,
  control: Control,
  { grant, origin }: Known,
  { type, at, id, ids }: LinkEvent,
  data: { readonly outcome?: string },
): Promise<void> {
  const run = RunId.parse(ids["run"]);
  return record(tx, control, {
    type,
    ids: runIds(grant, run, origin.asked.within?.session),
    data: { grant: grant.signed.digest, ...data },
    at,
    eventId: id,
  });
}

/** Who waits in a session is told there. That nobody knows is told to everybody who could find out. */
async function tellOfRun(
  tx: Tx,
  control: Control,
  { grant, origin }: Known,
  outcome: RunEnd["document"]["outcome"],
  { error }: RunEnd,
): Promise<void> {
  if (outcome === "done" || (outcome === "failed" && origin.asked.within !== undefined)) return;
  const roster = outcome === "unknown" ? await rosterIn(tx, control) : undefined;
  const admins = roster?.entries().filter((entry) => entry.active && entry.permissions.includes("admin")) ?? [];
  const why = error === undefined ? "" : `: ${error.message}`;
  const words =
    outcome === "failed"
      ? `${whatFor(origin)} was not done${why}`
      : `whether ${whatFor(origin)} was done nobody knows; look there, and say what you find`;
  await notify(tx, control, {
    type: `run.${outcome}`,
    to: [...concerned(origin), ...admins.map((entry) => entry.subject)],
    request: grant.request,
    grant: grant.id,
    words: toPlainText(words, 2_000),
    command: `cardea show ${grant.request}`,
  });
}

async function tellResolved(
  tx: Tx,
  control: Control,
  { grant, origin }: Known,
  outcome: "done" | "failed",
): Promise<void> {
  await notify(tx, control, {
    type: "run.resolved",
    to: concerned(origin),
    request: grant.request,
    grant: grant.id,
    words: `${whatFor(origin)} was ${outcome === "done" ? "done" : "not done"}, as is known now`,
    command: `cardea show ${grant.request}`,
  });
}
