/**
 * Looks at open grants again: at their scheduled start, and whenever policy or people have changed. What does not stand any more is ended as
 * `voided`. The outpost asks the same of its own copy of policy and roster; this is so that people hear why, and early.
 */
import type { GrantId } from "@cardea/core/contract/ids";
import { approvalStands, decisionStands } from "@cardea/core/approval/still-stands";
import { timeMs } from "@cardea/core/documents/primitives";
import type { Vote } from "@cardea/core/documents/vote";
import type { Control, Tx } from "../control.ts";
import { notify } from "../notify/notify.ts";
import { rosterIn, type RosterView } from "../people/roster.ts";
import { policyByDigest, policyInForce } from "../policy/current.ts";
import { concerned, whatFor } from "../requests/tell.ts";
import { changeGrant, maybeOneGrantLocked, type StoredGrant } from "../store/grants.ts";
import type { StoredPolicy } from "../store/policies.ts";
import { manyVotes, maybeOneRequest, type StoredRequest } from "../store/requests.ts";
import { resourceById, specByDigest } from "../store/resources.ts";
import type { Signed } from "../store/signed.ts";
import { transact } from "../store/transaction.ts";
import { enqueueIssue } from "./create.ts";
import { endGrantIn } from "./end.ts";

/** Begins a scheduled grant whose start has come, if it still stands. Does nothing where that was done, or ended, meanwhile. */
export async function beginGrant(control: Control, id: GrantId): Promise<void> {
  const current = await policyInForce(control);
  await transact(control, async (tx) => {
    const grant = await maybeOneGrantLocked(tx, control.keys, id);
    if (grant?.state !== "scheduled" || timeMs(grant.signed.document.window.notBefore) > control.clock.now()) return;
    const problem = await judge(tx, control, grant, current);
    if (problem !== undefined) return;
    await changeGrant(tx, id, { state: "issuing" });
    await enqueueIssue(tx, control, grant.outpost, grant.signed.document);
    control.wake.signal("grants", tx);
  });
}

/** Ends an open grant that does not stand any more; otherwise notes under which versions it was found to. */
export async function rejudgeGrant(control: Control, id: GrantId): Promise<void> {
  const current = await policyInForce(control);
  await transact(control, async (tx) => {
    const grant = await maybeOneGrantLocked(tx, control.keys, id);
    if (grant === undefined || !["scheduled", "issuing", "active"].includes(grant.state)) return;
    await judge(tx, control, grant, current);
  });
}

/** Why it does not stand, having ended it. */
async function judge(
  tx: Tx,
  control: Control,
  grant: StoredGrant,
  current: StoredPolicy | undefined,
): Promise<string | undefined> {
  const roster = await rosterIn(tx, control);
  const request = await maybeOneRequest(tx, control.keys, grant.request);
  const problem =
    current === undefined || request === undefined
      ? "what it was decided on is gone"
      : await problemOf(tx, control, grant, request, roster, current);
  if (problem === undefined && current !== undefined) {
    await changeGrant(tx, grant.id, {
      judged_policy: current.signed.document.version,
      judged_roster: roster.head.version,
    });
    return undefined;
  }
  await endGrantIn(tx, control, grant, { why: "voided", detail: problem });
  if (request !== undefined) {
    const { document } = request.signed;
    await notify(tx, control, {
      type: "grant.ending",
      to: concerned(document),
      request: document.id,
      grant: grant.id,
      words: `the grant of ${whatFor(document)} is over: ${problem ?? "it does not stand any more"}`,
      command: `cardea show ${document.id}`,
    });
  }
  return problem;
}

async function problemOf(
  tx: Tx,
  control: Control,
  grant: StoredGrant,
  request: StoredRequest,
  roster: RosterView,
  current: StoredPolicy,
): Promise<string | undefined> {
  const { document, digest } = request.signed;
  if (grant.signed.document.request !== digest) return "it is not of the request that its row names";
  const spec = await specByDigest(tx, document.resource.specDigest);
  const policy = await policyByDigest(control, document.decision.policy);
  if (spec === undefined || policy === undefined) return "what it was decided on is not stored any more";
  // A grant that has begun was made for the resource as it was; one that begins now must be for the resource as it is.
  if (
    grant.state === "scheduled" &&
    (await resourceById(tx, document.resource.id))?.specDigest !== document.resource.specDigest
  ) {
    return `${document.asked.resource} has changed since the request was filed`;
  }
  const entries = (id: StoredGrant["requester"]) => roster.entry(id);
  // People and policy of today at the hour of its beginning: a window does not close early because somebody else's groups changed at night.
  const stands = decisionStands({
    request: document,
    spec: spec.document,
    policy: policy.signed.document,
    current: current.signed.document,
    entries,
    nowMs: timeMs(grant.signed.document.window.notBefore),
  });
  if (!stands.ok) return stands.detail;
  const votes = await manyVotes(tx, control.keys, grant.request);
  if (grant.state === "active") return lostApprover(grant, votes, roster);
  const counted = approvalStands({
    request: document,
    votes: votes.map((vote) => vote.document),
    grant: grant.signed.document,
    entries,
  });
  if (counted.ok) return undefined;
  return counted.code === "not_approved"
    ? "its approvals do not count any more: an approver lost the standing to give them"
    : counted.detail;
}

/** Once a key is out, an approver who changed teams has still approved it; one who was put out of action has not. */
function lostApprover(grant: StoredGrant, votes: readonly Signed<Vote>[], roster: RosterView): string | undefined {
  const counted = votes.filter((vote) => grant.signed.document.votes.includes(vote.digest));
  const lost = counted.find((vote) => roster.entry(vote.document.approver)?.active !== true);
  return lost === undefined ? undefined : "one of its approvers is not active any more";
}

/** Ends a grant whose window is over: the outpost does so by its own clock; this makes sure that it is known to, and asks again. */
export async function expireGrant(control: Control, id: GrantId): Promise<void> {
  await transact(control, async (tx) => {
    const grant = await maybeOneGrantLocked(tx, control.keys, id);
    if (grant === undefined || timeMs(grant.signed.document.window.notAfter) > control.clock.now()) return;
    await endGrantIn(tx, control, grant, { why: "expired" });
  });
}
