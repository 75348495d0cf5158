/** What an outpost must know to judge by itself, and the proofs that its log only grew. */
import type { Consistency, LinkState } from "@cardea/core/wire/link";
import { toTime } from "@cardea/core/documents/primitives";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Control } from "../control.ts";
import { currentHead, proveGrowth, type CurrentHead } from "../audit/proofs.ts";
import { currentRoster } from "../people/roster.ts";
import { policyInForce } from "../policy/current.ts";

/** How long an outpost issues on after the last state: the grace with the link down. */
const stateGraceMs = 60_000;

export interface AssembledState {
  readonly state: LinkState;
  /** Size of the checkpoint inside; 0 without one. */
  readonly checkpointSize: number;
  /** Version of the policy in force; 0 without one. */
  readonly policyVersion: number;
}

/**
 * The state for an outpost that has seen the log at `fromSize` and this policy version.
 * @throws CardeaError `log_rolled_back`, `roster_invalid`, `evidence_stale`, `evidence_signature`, `database_unavailable`: then nothing is sent, and the outpost stops issuing after its grace
 */
export async function assembleState(
  control: Control,
  fromSize: number,
  policyVersion: number,
): Promise<AssembledState> {
  const [head, roster, policy] = await Promise.all([
    currentHead(control),
    currentRoster(control),
    policyInForce(control),
  ]);
  const now = control.clock.now();
  const [policySignature] = policy?.signed.signatures ?? [];
  const version = policy?.signed.document.version ?? 0;
  const consistency = head === undefined ? undefined : await continuation(control, head, fromSize);
  return {
    checkpointSize: head?.checkpoint.size ?? 0,
    policyVersion: version,
    state: {
      kind: "state",
      at: toTime(now),
      expiresAt: toTime(now + stateGraceMs),
      ...(policy !== undefined &&
        policySignature !== undefined &&
        version !== policyVersion && { policy: { policy: policy.signed.document, signature: policySignature } }),
      roster: { head: roster.head, signature: roster.signature },
      // Who holds a live key matters to gateways, which look again at each session; direct keys are ended by tasks.
      entries: [],
      ...(head !== undefined && { checkpoint: head.note }),
      ...(consistency !== undefined && { consistency }),
    },
  };
}

/** Proof that the head continues the log of this size; absent where it needs none. @throws CardeaError `log_rolled_back` where it does not */
async function continuation(control: Control, head: CurrentHead, from: number): Promise<Consistency | undefined> {
  if (from === 0 || from === head.checkpoint.size) return undefined;
  const hashes = await proveGrowth(control, head, from);
  if (hashes === undefined) {
    throw new CardeaError(
      "log_rolled_back",
      `an outpost has seen ${String(from)} entries of the log, and it has ${String(head.checkpoint.size)}; was a backup restored?`,
    );
  }
  return { from, hashes };
}
