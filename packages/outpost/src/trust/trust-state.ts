/**
 * What the outpost believes, in one place: the pinned trust document and what was seen under it. States move it forward, evidence is judged by
 * it. Memory is ahead of the store only until the next durable write, which every effect outside awaits.
 */
import { decisionStands, type Fallen } from "@cardea/core/approval/still-stands";
import type { ErrorCode } from "@cardea/core/contract/errors";
import type { Consistency, LinkState } from "@cardea/core/wire/link";
import type { OutpostId, SubjectId } from "@cardea/core/contract/ids";
import type { Digest } from "@cardea/core/documents/digest";
import type { Policy } from "@cardea/core/documents/policy";
import { timeMs } from "@cardea/core/documents/primitives";
import type { Request } from "@cardea/core/documents/request";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { anyVerifies } from "@cardea/core/documents/signature";
import type { Trust } from "@cardea/core/documents/trust";
import { openRoster } from "@cardea/core/evidence/roster";
import { verifyEvidence, type Verified } from "@cardea/core/evidence/verify";
import { fromBase64Url } from "@cardea/core/lib/base64url";
import { parseCheckpoint } from "@cardea/core/log/checkpoint";
import type { TreeHead } from "@cardea/core/log/merkle";
import { ok, refused, type Refused, type Result } from "@cardea/core/lib/result";
import type { Store } from "../store/store.ts";
import { People } from "./people.ts";
import { joinLog, judgeState, readPolicy, readSeen, writeSeen, type Seen } from "./seen.ts";
import type { SteadyClock } from "./steady-clock.ts";

export interface TrustOptions {
  readonly store: Store;
  readonly trust: Trust;
  readonly self: OutpostId;
  readonly identityKey: string;
  readonly steady: SteadyClock;
}

/** What a grant was decided on. */
export interface Standing {
  readonly request: Request;
  /** The policy that decided. */
  readonly policy: Policy;
  readonly spec: ResourceSpec;
}

export class TrustState {
  readonly #store: Store;
  readonly #trust: Trust;
  readonly #self: OutpostId;
  readonly #identityKey: Uint8Array;
  readonly #steady: SteadyClock;
  #seen: Seen;
  #policy: Policy | undefined;
  readonly #people: People;
  /** The specification that was last found to be one that this outpost signed. */
  #ownSpec: Digest | undefined;

  constructor({ store, trust, self, identityKey, steady }: TrustOptions) {
    this.#store = store;
    this.#trust = trust;
    this.#self = self;
    this.#identityKey = fromBase64Url(identityKey);
    this.#steady = steady;
    this.#seen = readSeen(store);
    this.#policy = readPolicy(store);
    this.#people = People.read(store);
  }

  /** Size of the newest checkpoint seen; 0 before the first. */
  get checkpointSize(): number {
    return this.#seen.checkpoint?.size ?? 0;
  }

  /** Takes in a state, or refuses it whole. */
  async accept(state: LinkState): Promise<Result<undefined, ErrorCode>> {
    const judged = judgeState(state, this.#seen, this.#trust);
    if (!judged.ok) return judged;
    const { seen, policy, people } = judged.value;
    this.#steady.compare(timeMs(state.at));
    this.#seen = seen;
    this.#policy = policy ?? this.#policy;
    if (seen.roster !== undefined) this.#people.note(seen.roster, people);
    await this.#store.write(() => {
      writeSeen(this.#store, this.#seen, policy);
      this.#people.persist(this.#store);
    });
    return ok(undefined);
  }

  /** Why nothing new may be issued now, whatever the evidence. */
  whyNotNow(): Refused<"clock_unsure" | "state_stale"> | undefined {
    const unsure = this.#steady.unsure();
    if (unsure !== undefined)
      return refused("clock_unsure", `${unsure}; nothing is issued until the control plane's time agrees`);
    if (this.#steady.deadlineMs() >= this.#seen.stateUntilMs) {
      return refused(
        "state_stale",
        "the last word of the control plane on policy and people is older than the grace; is the link up?",
      );
    }
    return undefined;
  }

  /** Judges evidence as if nobody had before: signatures, decision, votes, log, and that nothing in it is older than what was seen. */
  admit(evidence: unknown, consistency: Consistency | undefined): Verified | Refused<ErrorCode> {
    const verified = verifyEvidence(evidence, this.#trust, this.#steady.deadlineMs(), {
      purpose: "issue",
      ...(this.#policy !== undefined && { currentPolicy: this.#policy }),
    });
    if (!verified.ok) return verified;
    const { request, roster, signatures } = verified.evidence;
    if (request.resource.outpost !== this.#self)
      return refused("evidence_mismatch", "the evidence is for another outpost");
    if (!this.#isOwnSpec(verified.digests.spec, signatures)) {
      return refused("evidence_signature", "the resource's specification is not one that this outpost signed");
    }
    const people = this.#seen.roster;
    if (people !== undefined && roster.head.version < people.version) {
      return refused(
        "evidence_stale",
        `the evidence rests on roster version ${String(roster.head.version)}, and version ${String(people.version)} was seen`,
      );
    }
    if (people?.version === roster.head.version && people.digest !== verified.digests.rosterHead) {
      return refused("evidence_stale", `there are two different rosters of version ${String(people.version)}`);
    }
    const checkpoint = joinLog(signedHead(verified.evidence.log.checkpoint), consistency, this.#seen.checkpoint);
    if (!checkpoint.ok) return checkpoint;
    this.#seen = { ...this.#seen, checkpoint: checkpoint.value };
    const proven = openRoster(roster);
    // `verifyEvidence` has opened it before.
    if (proven.ok)
      this.#people.note({ version: roster.head.version, digest: verified.digests.rosterHead }, proven.value);
    return verified;
  }

  /** Whether what a grant rests on still stands, as policy and people were last seen; the decision that the issuer found good is asked again. */
  stands({ request, policy, spec }: Standing): Result<undefined, "state_stale" | Fallen> {
    const known = this.#policy;
    if (known === undefined || this.#people.version === undefined)
      return refused("state_stale", "the control plane has not said yet what policy and people are; try again shortly");
    const current = known.version < policy.version ? policy : known;
    const entries = (subject: SubjectId): RosterEntry | undefined => this.#people.entry(subject);
    return decisionStands({ request, spec, policy, current, entries, nowMs: this.#steady.deadlineMs() });
  }

  #isOwnSpec(digest: Digest, signatures: Verified["evidence"]["signatures"]): boolean {
    if (this.#ownSpec === digest) return true;
    if (!anyVerifies(signatures[digest], "outpost", this.#identityKey, digest)) return false;
    this.#ownSpec = digest;
    return true;
  }

  /** Inside `Store.write`: makes what evidence has shown durable with what follows from it. */
  persist(): void {
    writeSeen(this.#store, this.#seen);
    this.#people.persist(this.#store);
  }
}

/** The head in a note whose signature `verifyEvidence` has found good. */
function signedHead(note: string): TreeHead {
  const parsed = parseCheckpoint(note.slice(0, note.lastIndexOf("\n\n") + 1));
  if (!parsed.ok) throw new TypeError("verified evidence has a checkpoint");
  return parsed.value;
}
