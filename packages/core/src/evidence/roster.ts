import type { SubjectId } from "../contract/ids.ts";
import { canonicalJson } from "../documents/canonical.ts";
import type { RosterEntry, RosterHead, RosterProof } from "../documents/roster.ts";
import { parseBase64Url } from "../lib/base64url.ts";
import { ok, refused, type Result } from "../lib/result.ts";
import { leafHash } from "../log/merkle.ts";
import { verifyInclusion } from "../log/proofs.ts";

/** The entries that a roster head proves, by subject. Whoever is not proven is nobody. */
export type ProvenRoster = ReadonlyMap<SubjectId, RosterEntry>;

const encoder = new TextEncoder();

/** The bytes of an entry as the roster's tree hashes them. */
export function rosterLeaf(entry: RosterEntry): Uint8Array {
  return encoder.encode(canonicalJson(entry));
}

/** Checks each entry's way up to the head. The head's own signature is checked elsewhere. */
export function openRoster(roster: {
  readonly head: RosterHead;
  readonly entries: readonly RosterProof[];
}): Result<ProvenRoster, "evidence_roster"> {
  const { head } = roster;
  const root = parseBase64Url(head.root);
  if (root === undefined) return refused("evidence_roster", "the roster's root is not base64url");
  const proven = new Map<SubjectId, RosterEntry>();
  for (const { entry, index, path } of roster.entries) {
    const claim = { size: head.size, root, index, leafHash: leafHash(rosterLeaf(entry)) };
    // A hash that is not strict base64url is left out, and then the proof is too short.
    const siblings = path.map(parseBase64Url).filter((sibling) => sibling !== undefined);
    const included = verifyInclusion(claim, siblings);
    if (!included.ok)
      return refused("evidence_roster", `the roster does not hold ${entry.subject}: ${included.detail}`);
    if (proven.has(entry.subject)) return refused("evidence_roster", `the roster holds ${entry.subject} twice`);
    proven.set(entry.subject, entry);
  }
  return ok(proven);
}
