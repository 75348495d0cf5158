import type { SubjectId } from "@cardea/core/contract/ids";
import { canonicalJson } from "@cardea/core/documents/canonical";
import type { RosterEntry, RosterProof } from "@cardea/core/documents/roster";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { emptyRoot, leafHash, nodeHash } from "@cardea/core/log/merkle";

/** An entry beside its leaf's hash. */
export interface RosterLeaf {
  readonly entry: RosterEntry;
  /** The bytes that the tree hashes. */
  readonly text: string;
  readonly hash: Uint8Array;
}

const encoder = new TextEncoder();

/** The leaf of an entry. */
export function rosterLeaf(entry: RosterEntry): RosterLeaf {
  const text = canonicalJson(entry);
  return { entry, text, hash: leafHash(encoder.encode(text)) };
}

/**
 * The RFC 6962 tree over the entries, ordered by subject id. Every level is kept (an odd last node moves up as it is, which is the same tree as
 * the standard's recursive one), so that a proof costs no hashing: evidence and state messages ask for many.
 */
export class RosterTree {
  readonly leaves: readonly RosterLeaf[];
  readonly #levels: readonly (readonly Uint8Array[])[];
  readonly #indexes: ReadonlyMap<SubjectId, number>;

  constructor(leaves: readonly RosterLeaf[]) {
    this.leaves = leaves.toSorted((a, b) => (a.entry.subject < b.entry.subject ? -1 : 1));
    this.#indexes = new Map(this.leaves.map((leaf, index) => [leaf.entry.subject, index]));
    this.#levels = levelsOver(this.leaves.map((leaf) => leaf.hash));
  }

  /** base64url. */
  get root(): string {
    return toBase64Url(this.#levels.at(-1)?.[0] ?? emptyRoot());
  }

  entry(id: SubjectId): RosterEntry | undefined {
    return this.leaves[this.#indexes.get(id) ?? -1]?.entry;
  }

  proof(id: SubjectId): RosterProof | undefined {
    const index = this.#indexes.get(id);
    const leaf = index === undefined ? undefined : this.leaves[index];
    if (index === undefined || leaf === undefined) return undefined;
    const siblings = this.#levels.map((level, height) => level[Math.floor(index / 2 ** height) ^ 1]);
    return { entry: leaf.entry, index, path: siblings.filter((hash) => hash !== undefined).map(toBase64Url) };
  }
}

function levelsOver(leafHashes: readonly Uint8Array[]): Uint8Array[][] {
  const levels = [[...leafHashes]];
  for (let below = leafHashes; below.length > 1;) {
    const level: Uint8Array[] = [];
    for (let i = 0; i < below.length; i += 2) {
      const [left, right] = [below[i], below[i + 1]];
      if (left !== undefined) level.push(right === undefined ? left : nodeHash(left, right));
    }
    levels.push(level);
    below = level;
  }
  return levels;
}
