/** Inclusion and consistency proofs (RFC 6962, section 2.1; verification as in RFC 9162, section 2.1). Pure and synchronous. */
import { ok, refused, type Result } from "../lib/result.ts";
import { emptyRoot, hashSize, nodeHash, sameBytes, treeRoot, type LeafRange, type TreeHead } from "./merkle.ts";

/** A leaf at a place in a tree, as an inclusion proof claims it. */
export interface LeafClaim extends TreeHead {
  readonly leafHash: Uint8Array;
  readonly index: number;
}

export type InclusionRefusal = "index_out_of_range" | "proof_malformed" | "root_mismatch";

export type ConsistencyRefusal =
  "size_malformed" | "size_decreased" | "roots_differ" | "proof_malformed" | "old_root_mismatch" | "new_root_mismatch";

/**
 * The ranges of leaves whose roots make up the inclusion proof of a leaf, from its sibling upwards.
 * @throws RangeError unless `index` is a leaf of a tree of that size.
 */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  if (!isCount(size) || !isCount(index) || index >= size) throw new RangeError("no such leaf in the tree");
  const ranges: LeafRange[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + largestPowerBelow(end - start);
    if (index < middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  return ranges.reverse();
}

/**
 * The ranges of leaves whose roots make up the consistency proof from `oldSize` to `newSize`; none where the sizes
 * are equal or the old tree was empty. @throws RangeError where the tree would shrink.
 */
export function consistencyRanges(oldSize: number, newSize: number): LeafRange[] {
  if (!isCount(oldSize) || !isCount(newSize) || oldSize > newSize) throw new RangeError("a tree only grows");
  if (oldSize === 0) return [];
  const ranges: LeafRange[] = [];
  let start = 0;
  let end = newSize;
  while (end !== oldSize) {
    const middle = start + largestPowerBelow(end - start);
    if (oldSize <= middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  // Where the old tree is itself a subtree of the new one, the verifier knows its root already.
  if (start > 0) ranges.push({ start, end });
  return ranges.reverse();
}

/** The inclusion proof of one leaf, from leaf hashes held in memory. @throws RangeError where there is no such leaf. */
export function proveInclusion(leafHashes: readonly Uint8Array[], index: number): Uint8Array[] {
  return inclusionRanges(index, leafHashes.length).map((range) => treeRoot(leafHashes, range));
}

/** The proof that a list began with its first `oldSize` leaves. @throws RangeError where the list is shorter. */
export function proveConsistency(leafHashes: readonly Uint8Array[], oldSize: number): Uint8Array[] {
  return consistencyRanges(oldSize, leafHashes.length).map((range) => treeRoot(leafHashes, range));
}

/** Checks that the proof leads from the leaf, at its index, to the root. */
export function verifyInclusion(claim: LeafClaim, proof: readonly Uint8Array[]): Result<undefined, InclusionRefusal> {
  const { index, size } = claim;
  if (!isCount(size) || !isCount(index) || index >= size) {
    return refused("index_out_of_range", `leaf \`${index}\` is not in a tree of size \`${size}\``);
  }
  const malformed = malformedProof([claim.leafHash, ...proof], proof.length, inclusionLength(index, size));
  if (malformed !== undefined) return refused("proof_malformed", malformed);

  // `node` is the place of `hash` in its level, `last` the rightmost place of that level (RFC 9162, 2.1.3.2).
  let node = index;
  let last = size - 1;
  let hash = claim.leafHash;
  for (const sibling of proof) {
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (!sameBytes(hash, claim.root)) {
    return refused("root_mismatch", "the inclusion proof leads to another root than the checkpoint's");
  }
  return ok(undefined);
}

/** Checks that the newer tree begins with the older one. Equal sizes need equal roots and an empty proof. */
export function verifyConsistency(
  older: TreeHead,
  newer: TreeHead,
  proof: readonly Uint8Array[],
): Result<undefined, ConsistencyRefusal> {
  if (!isCount(older.size) || !isCount(newer.size)) {
    return refused("size_malformed", "a tree's size is a non-negative whole number");
  }
  if (newer.size < older.size) {
    return refused("size_decreased", `the tree shrank from \`${older.size}\` to \`${newer.size}\` leaves`);
  }
  const { length } = consistencyRanges(older.size, newer.size);
  const malformed = malformedProof([older.root, newer.root, ...proof], proof.length, length);
  if (malformed !== undefined) return refused("proof_malformed", malformed);

  if (older.size === newer.size) {
    if (sameBytes(older.root, newer.root)) return ok(undefined);
    return refused("roots_differ", `two different roots at the same size \`${older.size}\``);
  }
  if (older.size === 0) {
    if (sameBytes(older.root, emptyRoot())) return ok(undefined);
    return refused("old_root_mismatch", "the older root is not that of an empty tree");
  }
  return verifyGrowthPath(older, newer, proof);
}

// RFC 9162, section 2.1.4.2, for 0 < older.size < newer.size and a proof of the right length.
function verifyGrowthPath(
  older: TreeHead,
  newer: TreeHead,
  proof: readonly Uint8Array[],
): Result<undefined, ConsistencyRefusal> {
  let node = older.size - 1;
  let last = newer.size - 1;
  while (node % 2 === 1) [node, last] = [half(node), half(last)];

  const path = node === 0 ? [older.root, ...proof] : proof;
  let [oldHash, newHash] = [path[0] ?? older.root, path[0] ?? older.root];
  for (const sibling of path.slice(1)) {
    if (node % 2 === 1 || node === last) {
      oldHash = nodeHash(sibling, oldHash);
      newHash = nodeHash(sibling, newHash);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (!sameBytes(oldHash, older.root)) {
    return refused("old_root_mismatch", "the consistency proof does not lead to the older root");
  }
  if (!sameBytes(newHash, newer.root)) {
    return refused("new_root_mismatch", "the consistency proof does not lead to the newer root");
  }
  return ok(undefined);
}

// One hash for each level at which the leaf's ancestor has a sibling; counted without listing them.
function inclusionLength(index: number, size: number): number {
  let length = 0;
  for (let node = index, last = size - 1; last > 0; node = half(node), last = half(last)) {
    if (node % 2 === 1 || node !== last) length++;
  }
  return length;
}

// A hash of another length would shift bytes between two fields of a node's input: never hash one.
function malformedProof(hashes: readonly Uint8Array[], length: number, expected: number): string | undefined {
  if (length !== expected) return `the proof has \`${length}\` hashes where \`${expected}\` are needed`;
  if (hashes.some((hash) => hash.length !== hashSize)) return "a hash is not 32 bytes long";
  return undefined;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

// Sizes reach 2**53, beyond what bit operators can hold.
function half(value: number): number {
  return Math.floor(value / 2);
}

/** The largest power of two smaller than `count`, for a count of two or more. */
function largestPowerBelow(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}
