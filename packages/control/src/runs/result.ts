import type { SealedResult } from "@cardea/core/wire/delivery";
import { CardeaError } from "@cardea/core/contract/errors";
import type { RequestId, RunId } from "@cardea/core/contract/ids";
import { digestOf } from "@cardea/core/documents/digest";
import { verifyDigest } from "@cardea/core/documents/signature";
import { reportingAlterations } from "../audit/altered.ts";
import { record } from "../audit/record.ts";
import type { Actor, Control } from "../control.ts";
import { keptOutpostKey } from "../evidence/roster-part.ts";
import { maybeOneGrantRoster } from "../store/grant-rosters.ts";
import { maybeOneGrant } from "../store/grants.ts";
import { maybeOneRequest } from "../store/requests.ts";
import { maybeOneResult, maybeOneRun, maybeOneRunDocument } from "../store/runs.ts";
import { transact } from "../store/transaction.ts";
import { runIds } from "./outcomes.ts";

/**
 * The answer of an action, sealed by the outpost to the requester's delivery key; for the requester alone. Each fetch is in the log, in the
 * transaction that reads it.
 * @throws CardeaError `not_found` where there is none, not yet, or not any more; `evidence_mismatch`, `evidence_signature` where it was altered
 */
export async function fetchResult(control: Control, actor: Actor, id: RequestId): Promise<SealedResult> {
  const fetching = transact(control, async (tx) => {
    const request = await maybeOneRequest(tx, control.keys, id);
    // Whoever is not the requester learns nothing, not even that there is an answer.
    if (request?.signed.document.asked.requester.id !== actor.subject) throw none(id);
    const run = await maybeOneRun(tx, { request: id });
    const grant = await maybeOneGrant(tx, control.keys, { request: id });
    const sealed = run && (await maybeOneResult(tx, run.id));
    if (run === undefined || grant === undefined || sealed === undefined) throw none(id);
    const said = await maybeOneRunDocument(tx, grant.id);
    if (said?.document.resultDigest !== digestOf("sealed", sealed) || said.document.grant !== grant.signed.digest)
      throw altered("evidence_mismatch", id, run.id, "is not the one that its run names");
    // Anybody could seal an answer of their own to the requester's key: only the outpost's signature says whose it is.
    const key = keptOutpostKey(control.keys, await maybeOneGrantRoster(tx, grant.id), grant.outpost);
    if (key === undefined || !verifyDigest(said.signature, "outpost", key, said.digest))
      throw altered("evidence_signature", id, run.id, "rests on a run that does not bear its outpost's signature");
    await record(tx, control, {
      type: "result.delivered",
      ids: runIds(grant, run.id, run.session),
      data: { grant: grant.signed.digest, sourceIp: actor.sourceIp },
      actor: actor.subject,
    });
    return sealed;
  });
  return await reportingAlterations(control, fetching);
}

/** Whether an answer may still come, for the requester: a glance, where fetching verifies and logs. */
export async function isStillRun({ db, keys }: Control, actor: Actor, id: RequestId): Promise<boolean> {
  const request = await maybeOneRequest(db, keys, id);
  if (request?.signed.document.asked.requester.id !== actor.subject) return false;
  if (request.state === "pending") return true;
  const grant = request.state === "approved" ? await maybeOneGrant(db, keys, { request: id }) : undefined;
  return grant !== undefined && grant.role === undefined && grant.state !== "ended" && grant.state !== "failed";
}

function altered(
  code: "evidence_mismatch" | "evidence_signature",
  id: RequestId,
  run: RunId,
  why: string,
): CardeaError {
  return new CardeaError(code, `the stored answer of \`${id}\` ${why}`, { extra: { altered: run } });
}

function none(id: RequestId): CardeaError {
  return new CardeaError(
    "not_found",
    `there is no answer of \`${id}\` for you: it has not run, gave none, was asked for without a delivery key, or is forgotten`,
  );
}
