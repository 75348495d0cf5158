import { actionText } from "../documents/request.ts";
import { canonicalJson } from "../documents/canonical.ts";
import type { Evidence } from "../documents/evidence.ts";
import { anyVerifies } from "../documents/signature.ts";
import { parseBase64Url } from "../lib/base64url.ts";
import { ok, refused, type Result } from "../lib/result.ts";
import type { Digests } from "./belonging.ts";

type Refusals = "evidence_signature" | "evidence_mismatch" | "evidence_roster";

/**
 * What the resource's outpost itself must have signed: what a session of it asks for while it keeps the action waiting, and how a run went. Its key is
 * the one that the roster's signed head names: another outpost's word counts for nothing here, nor does the control plane's.
 */
export function checkOutpost(evidence: Evidence, digests: Digests): Result<undefined, Refusals> {
  const held = checkHeld(evidence, digests);
  return held.ok ? checkRun(evidence, digests) : held;
}

function checkHeld(evidence: Evidence, { asked }: Digests): Result<undefined, Refusals> {
  const { request, grant, signatures } = evidence;
  if (asked === undefined) return ok(undefined);
  if (!("action" in request.asked.ask) || !("action" in grant.permissions))
    return refused("evidence_mismatch", "only an exact action is asked for from a session");
  const key = outpostKey(evidence);
  if (key === undefined)
    return refused("evidence_roster", "the roster does not hold the key of the outpost whose session asks");
  return anyVerifies(signatures[asked], "outpost", key, asked)
    ? ok(undefined)
    : refused("evidence_signature", "what is asked for from a session bears no valid signature of its outpost");
}

function checkRun(evidence: Evidence, digests: Digests): Result<undefined, Refusals> {
  const { run, request, grant, signatures } = evidence;
  if (run === undefined || digests.run === undefined) return ok(undefined);
  const { permissions } = grant;
  if (run.grant !== digests.grant || !("action" in permissions))
    return refused("evidence_mismatch", "the run is of another grant");
  // What ran is what was approved, by the outpost's own account.
  if (actionText({ ...permissions.action, binding: run.binding }) !== actionText(permissions.action))
    return refused("evidence_mismatch", "the run is of something else than what was approved");
  if (canonicalJson(run.session ?? null) !== canonicalJson(request.asked.within?.session ?? null))
    return refused("evidence_mismatch", "the run is of another session");
  const key = outpostKey(evidence);
  if (key === undefined)
    return refused("evidence_roster", "the roster does not hold the key of the outpost that ran it");
  return anyVerifies(signatures[digests.run], "outpost", key, digests.run)
    ? ok(undefined)
    : refused("evidence_signature", "the run bears no valid signature of the outpost");
}

function outpostKey({ request, roster }: Evidence): Uint8Array | undefined {
  const key = roster.head.outposts?.find(({ id }) => id === request.resource.outpost)?.key;
  return key === undefined ? undefined : parseBase64Url(key);
}
