import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import type { GrantId, OutpostId, SubjectId } from "@cardea/core/contract/ids";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { digestOf, type Digest } from "@cardea/core/documents/digest";
import type { Evidence } from "@cardea/core/documents/evidence";
import type { Request } from "@cardea/core/documents/request";
import { RosterHead, RosterProof } from "@cardea/core/documents/roster";
import { anyVerifies, Signature } from "@cardea/core/documents/signature";
import type { Vote } from "@cardea/core/documents/vote";
import { openRoster } from "@cardea/core/evidence/roster";
import { parseBase64Url } from "@cardea/core/lib/base64url";
import type { ControlKeys } from "../control.ts";
import type { RosterView } from "../people/roster.ts";
import type { Signed } from "../store/signed.ts";

/** What evidence says of people: a signed head, and those whom the grant concerns with their ways up to it. */
export interface RosterPart {
  readonly digest: Digest;
  readonly signature: Signature;
  readonly roster: Evidence["roster"];
}

/** The votes that evidence holds: those that count, and those whose narrowing holds although they do not count any more. */
export function relevantVotes(votes: readonly Signed<Vote>[], counted: readonly Digest[]): readonly Signed<Vote>[] {
  return votes.filter(
    ({ digest, document }) =>
      counted.includes(digest) || (document.verdict === "approve" && document.narrowing !== undefined),
  );
}

/** Of a roster: the requester, whoever they act for, and these voters, each once. */
export function rosterPart(roster: RosterView, { asked }: Request, votes: readonly Signed<Vote>[]): RosterPart {
  const subjects = new Set<SubjectId>(votes.map((vote) => vote.document.approver));
  for (
    let behind: SubjectId | undefined = asked.requester.id;
    behind !== undefined && !subjects.has(behind);
    behind = roster.entry(behind)?.actsFor
  )
    subjects.add(behind);
  if (asked.requester.onBehalfOf !== undefined) subjects.add(asked.requester.onBehalfOf);
  const entries = [...subjects].flatMap((subject) => roster.proof(subject) ?? []);
  return { digest: roster.digest, signature: roster.signature, roster: { head: roster.head, entries } };
}

const Kept = z.strictObject({ head: RosterHead, signature: Signature, entries: z.array(RosterProof) });

/** Canonical JSON, to be kept with the grant: people change, and what was right then must be seen to have been. */
export function keptRosterPart({ signature, roster }: RosterPart): string {
  return canonicalJson({ head: roster.head, signature, entries: roster.entries });
}

/**
 * The roster of a grant's approval as it was kept: signed by the control plane, whole, and the very one that the log names (`logged`).
 * @throws CardeaError `evidence_signature`, `evidence_roster`, `evidence_mismatch` (extra: `altered`) where it is not, or is gone
 */
export function readRosterPart(
  { signing }: ControlKeys,
  grant: GrantId,
  kept: string | undefined,
  logged: unknown,
): RosterPart {
  const altered = (code: "evidence_signature" | "evidence_roster" | "evidence_mismatch", why: string) =>
    new CardeaError(code, `the roster kept with the grant \`${grant}\` ${why}`, { extra: { altered: grant } });
  if (kept === undefined) throw altered("evidence_mismatch", "is not stored any more");
  const parsed = Kept.safeParse(parseJson(kept));
  if (!parsed.success) throw altered("evidence_roster", "does not have the form of one");
  const { head, signature, entries } = parsed.data;
  const digest = digestOf("roster", head);
  if (!anyVerifies([signature], "control", signing.publicKey, digest))
    throw altered("evidence_signature", "does not bear the control plane's signature");
  const opened = openRoster({ head, entries });
  if (!opened.ok) throw altered(opened.code, `was altered: ${opened.detail}`);
  if (digest !== logged) throw altered("evidence_mismatch", "is not the one that the log names for its approval");
  return { digest, signature, roster: { head, entries } };
}

/**
 * The key of an outpost by the roster that was kept with one of its grants, if the control plane signed that; an outpost's id has the same key for
 * ever, so it does not matter which roster says so.
 */
export function keptOutpostKey(
  { signing }: ControlKeys,
  kept: string | undefined,
  outpost: OutpostId,
): Uint8Array | undefined {
  const parsed = kept === undefined ? undefined : Kept.safeParse(parseJson(kept));
  if (parsed?.success !== true) return undefined;
  const { head, signature } = parsed.data;
  if (!anyVerifies([signature], "control", signing.publicKey, digestOf("roster", head))) return undefined;
  const key = head.outposts?.find(({ id }) => id === outpost)?.key;
  return key === undefined ? undefined : parseBase64Url(key);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
