/**
 * What this outpost has seen of the control plane's policy, people and log. Each only moves forward: a state that goes backwards, that shows
 * another document under a version seen before, or whose log is no continuation, is refused whole, and so is evidence that rests on it.
 */
import { z } from "zod";
import type { ErrorCode } from "@cardea/core/contract/errors";
import type { Consistency, LinkState } from "@cardea/core/wire/link";
import { digestOf, Digest } from "@cardea/core/documents/digest";
import { Policy } from "@cardea/core/documents/policy";
import { Base64Url, timeMs } from "@cardea/core/documents/primitives";
import { verifyDigest } from "@cardea/core/documents/signature";
import type { Trust } from "@cardea/core/documents/trust";
import { openRoster, type ProvenRoster } from "@cardea/core/evidence/roster";
import { fromBase64Url, parseBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { ok, refused, type Result } from "@cardea/core/lib/result";
import { openCheckpoint, type LogIdentity } from "@cardea/core/log/checkpoint";
import type { TreeHead } from "@cardea/core/log/merkle";
import { parseVerifierKey } from "@cardea/core/log/note";
import { verifyConsistency } from "@cardea/core/log/proofs";
import type { Store } from "../store/store.ts";

const Version = z.strictObject({ version: z.int(), digest: Digest });

export const Seen = z.strictObject({
  checkpoint: z.strictObject({ size: z.int().min(0), root: Base64Url }).optional(),
  policy: Version.optional(),
  roster: Version.optional(),
  /** When the newest state was made, and until when it may be acted on; by the control plane's clock. */
  stateAtMs: z.number(),
  stateUntilMs: z.number(),
});
export type Seen = z.infer<typeof Seen>;

export const nothingSeen: Seen = { stateAtMs: 0, stateUntilMs: 0 };

type Refusals = Extract<
  ErrorCode,
  "evidence_signature" | "evidence_stale" | "evidence_log" | "evidence_roster" | "log_inconsistent"
>;

export interface JudgedState {
  readonly seen: Seen;
  /** The policy in force, where the state carried one. */
  readonly policy: Policy | undefined;
  /** Those whom the state says something of. */
  readonly people: ProvenRoster;
}

/** The clocks of two processes of one control plane may differ by so much: a state that is older by less is taken, and moves no time back. */
const clocksApartMs = 30_000;

/** Judges a state by what was seen before. Pure. */
export function judgeState(state: LinkState, before: Seen, trust: Trust): Result<JudgedState, Refusals> {
  const controlKey = fromBase64Url(trust.controlKey);
  const { policy, roster } = state;
  if (timeMs(state.at) + clocksApartMs < before.stateAtMs)
    return refused(
      "evidence_stale",
      `the state is older than one of ${new Date(before.stateAtMs).toISOString()} that was seen before`,
    );

  const rosterDigest = digestOf("roster", roster.head);
  if (!verifyDigest(roster.signature, "control", controlKey, rosterDigest))
    return refused("evidence_signature", "the roster's head is not signed by the control plane");
  const people = advance("roster", before.roster, { version: roster.head.version, digest: rosterDigest });
  if (!people.ok) return people;
  const proven = openRoster({ head: roster.head, entries: state.entries });
  if (!proven.ok) return proven;

  let policySeen = before.policy;
  if (policy !== undefined) {
    const digest = digestOf("policy", policy.policy);
    if (!verifyDigest(policy.signature, "control", controlKey, digest))
      return refused("evidence_signature", "the policy is not signed by the control plane");
    const advanced = advance("policy", before.policy, { version: policy.policy.version, digest });
    if (!advanced.ok) return advanced;
    policySeen = advanced.value;
  }

  const checkpoint =
    state.checkpoint === undefined
      ? ok(before.checkpoint)
      : advanceLog(state.checkpoint, state.consistency, before.checkpoint, trust);
  if (!checkpoint.ok) return checkpoint;
  return ok({
    policy: policy?.policy,
    people: proven.value,
    seen: {
      ...(checkpoint.value !== undefined && { checkpoint: checkpoint.value }),
      ...(policySeen !== undefined && { policy: policySeen }),
      roster: people.value,
      stateAtMs: Math.max(before.stateAtMs, timeMs(state.at)),
      stateUntilMs: Math.max(before.stateUntilMs, timeMs(state.expiresAt)),
    },
  });
}

/** Opens a checkpoint and joins it with what was seen before. */
export function advanceLog(
  note: string,
  consistency: Consistency | undefined,
  before: Seen["checkpoint"],
  trust: Trust,
): Result<NonNullable<Seen["checkpoint"]>, "evidence_log" | "evidence_stale" | "log_inconsistent"> {
  const identity = logIdentity(trust);
  if (identity === undefined) return refused("evidence_log", "the pinned log key is malformed");
  const opened = openCheckpoint(note, identity);
  if (!opened.ok) return refused("evidence_log", opened.detail);
  return joinLog(opened.value, consistency, before);
}

/**
 * The newest checkpoint known once this one, whose signature is good, is believed too: itself where it is newer, else the one seen before.
 * Proven to be of one log, whichever is the newer; equal size means equal root.
 */
export function joinLog(
  { size, root }: TreeHead,
  consistency: Consistency | undefined,
  before: Seen["checkpoint"],
): Result<NonNullable<Seen["checkpoint"]>, "evidence_stale" | "log_inconsistent"> {
  const shown = { size, root: toBase64Url(root) };
  if (before === undefined || before.size === 0) return ok(shown);
  const known: TreeHead = { size: before.size, root: fromBase64Url(before.root) };
  const [older, newer] = size < known.size ? [{ size, root }, known] : [known, { size, root }];
  if (older.size !== newer.size && older.size > 0 && consistency?.from !== older.size) {
    return refused(
      "evidence_stale",
      `the log is at \`${String(size)}\`, was seen at \`${String(known.size)}\`, and no proof joins the two`,
    );
  }
  const hashes = (consistency?.hashes ?? []).map(parseBase64Url).filter((hash) => hash !== undefined);
  const verified = verifyConsistency(older, newer, older.size === newer.size ? [] : hashes);
  if (!verified.ok)
    return refused("log_inconsistent", `the log is not a continuation of what was seen before: ${verified.detail}`);
  return ok(size > known.size ? shown : before);
}

const seenFact = "seen";
const policyFact = "policy";

export function readSeen(store: Store): Seen {
  const found = store.facts.get(seenFact);
  return found === undefined ? nothingSeen : Seen.parse(found);
}

/** The policy that was last known to be in force. */
export function readPolicy(store: Store): Policy | undefined {
  const found = store.facts.get(policyFact);
  return found === undefined ? undefined : Policy.parse(found);
}

/** Inside `Store.write`. */
export function writeSeen(store: Store, seen: Seen, policy?: Policy): void {
  store.facts.putSync(seenFact, seen);
  if (policy !== undefined) store.facts.putSync(policyFact, policy);
}

type SeenVersion = z.infer<typeof Version>;

function advance(
  what: string,
  before: SeenVersion | undefined,
  shown: SeenVersion,
): Result<SeenVersion, "evidence_stale"> {
  if (before === undefined || shown.version > before.version) return ok(shown);
  if (shown.version < before.version)
    return refused(
      "evidence_stale",
      `${what} version ${String(shown.version)} is older than version ${String(before.version)}, which was seen before`,
    );
  if (shown.digest !== before.digest)
    return refused("evidence_stale", `there are two different documents of ${what} version ${String(shown.version)}`);
  return ok(before);
}

const identities = new WeakMap<Trust, LogIdentity>();

function logIdentity(trust: Trust): LogIdentity | undefined {
  const known = identities.get(trust);
  if (known !== undefined) return known;
  const key = parseVerifierKey(trust.logKey);
  if (!key.ok) return undefined;
  const identity = { origin: trust.origin, key: key.value };
  identities.set(trust, identity);
  return identity;
}
