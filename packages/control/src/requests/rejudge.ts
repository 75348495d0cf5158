import { wouldDiffer } from "@cardea/core/approval/still-stands";
import type { RequestId } from "@cardea/core/contract/ids";
import type { Control } from "../control.ts";
import { rosterIn } from "../people/roster.ts";
import { policyInForce } from "../policy/current.ts";
import { maybeOneRequestLocked, setJudgedPolicy } from "../store/requests.ts";
import { specByDigest } from "../store/resources.ts";
import { transact } from "../store/transaction.ts";
import { expireIn } from "./expire.ts";

/** After a policy change: expires a pending request that would be decided otherwise now; approvers never vote on what no rule asks any more. */
export async function rejudgeRequest(control: Control, id: RequestId): Promise<void> {
  const current = await policyInForce(control);
  if (current === undefined) return;
  await transact(control, async (tx) => {
    const request = await maybeOneRequestLocked(tx, control.keys, id);
    if (request?.state !== "pending") return;
    const { document } = request.signed;
    const spec = await specByDigest(tx, document.resource.specDigest);
    if (spec === undefined || wouldDiffer(document, spec.document, current.signed.document)) {
      await expireIn(tx, control, await rosterIn(tx, control), request, "policy_changed");
    } else {
      await setJudgedPolicy(tx, id, current.signed.document.version);
    }
  });
}
