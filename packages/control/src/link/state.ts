/** What an outpost must know to judge by itself, and the proofs that its log only grew. */
import type { Consistency, LinkState } from "@cardea/core/wire/link";
import { toTime } from "@cardea/core/documents/primitives";
import { CardeaError } from "@cardea/core/contract/errors";
import type { OutpostId, SubjectId } from "@cardea/core/contract/ids";
import type { RosterProof } from "@cardea/core/documents/roster";
import type { Control } from "../control.ts";
import { currentHead, proveGrowth, type CurrentHead } from "../audit/proofs.ts";
import { currentRoster, type RosterView } from "../people/roster.ts";
import { policyInForce } from "../policy/current.ts";
import { manyHolders } from "../store/grants.ts";

/** Proofs of people in one state, so that it stays far below what a message may be; the others come with the next. */
const maxEntries = 2_000;

/** What a link carried before, so that it is not carried again. */
export interface Carried {
  /** What the outpost has of the log. */
  readonly checkpointSize: number;
  /** The policy in force; 0 before the first. */
  readonly policyVersion: number;
  readonly people: CarriedPeople;
}

export interface CarriedPeople {
  readonly rosterVersion: number;
  readonly subjects: ReadonlySet<SubjectId>;
}

/** How long an outpost issues on after the last state: the grace with the link down. */
const stateGraceMs = 60_000;

export interface AssembledState {
  readonly state: LinkState;
  /** What the link has carried with it. */
  readonly carried: Carried;
}

/**
 * The state for an outpost, as far as it is news to it.
 * @throws CardeaError `log_rolled_back`, `roster_invalid`, `evidence_stale`, `evidence_signature`, `database_unavailable`: then nothing is sent, and the outpost stops issuing after its grace
 */
export async function assembleState(control: Control, outpost: OutpostId, before: Carried): Promise<AssembledState> {
  const [head, roster, policy, holders] = await Promise.all([
    currentHead(control),
    currentRoster(control),
    policyInForce(control),
    manyHolders(control.db, outpost),
  ]);
  const now = control.clock.now();
  const [policySignature] = policy?.signed.signatures ?? [];
  const version = policy?.signed.document.version ?? 0;
  const consistency = head === undefined ? undefined : await continuation(control, head, before.checkpointSize);
  const { entries, people } = peopleFor(roster, holders, before.people);
  return {
    carried: { checkpointSize: head?.checkpoint.size ?? 0, policyVersion: version, people },
    state: {
      kind: "state",
      at: toTime(now),
      expiresAt: toTime(now + stateGraceMs),
      ...(policy !== undefined &&
        policySignature !== undefined &&
        version !== before.policyVersion && { policy: { policy: policy.signed.document, signature: policySignature } }),
      roster: { head: roster.head, signature: roster.signature },
      entries,
      ...(head !== undefined && { checkpoint: head.note }),
      ...(consistency !== undefined && { consistency }),
      recordingKey: control.keys.recording.publicKey,
    },
  };
}

/** Who holds a live key, and those behind them: gateways look again at each session. */
function peopleFor(
  roster: RosterView,
  holders: readonly SubjectId[],
  before: CarriedPeople,
): { readonly entries: RosterProof[]; readonly people: CarriedPeople } {
  const { version: rosterVersion } = roster.head;
  const carried = before.rosterVersion === rosterVersion ? before.subjects : new Set<SubjectId>();
  const subjects = new Set(carried);
  const entries: RosterProof[] = [];
  for (const holder of holders) {
    for (let one: SubjectId | undefined = holder; one !== undefined; one = roster.entry(one)?.actsFor) {
      if (subjects.has(one) || entries.length === maxEntries) break;
      const proof = roster.proof(one);
      if (proof === undefined) break;
      subjects.add(one);
      entries.push(proof);
    }
  }
  return { entries, people: { rosterVersion, subjects } };
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
