/**
 * The transparency log: what the audit writer, outposts and offline verifiers agree on. This folder holds Merkle
 * hashing (here), proofs, tiles, the writer's state, signed checkpoints, proof files and the verifier, in the formats
 * of RFC 6962 and of C2SP (tlog-tiles, tlog-checkpoint, signed-note, tlog-proof), unchanged. The control plane's audit
 * writer appends and signs; everybody else verifies. It never reads a clock, stores, fetches by itself, or looks into
 * an entry: where tiles are needed, the caller passes a function that fetches them.
 *
 * Misuse by our own code (an index beyond the tree) throws `RangeError`; whatever came from outside is refused with a code.
 */
import { sha256 } from "../lib/crypto.ts";

/** Bytes of every hash in a tree. */
export const hashSize = 32;

/** What a signed checkpoint asserts of the tree: so many leaves, and this root over them. */
export interface TreeHead {
  readonly size: number;
  readonly root: Uint8Array;
}

/** The leaves from `start` up to, not including, `end`. */
export interface LeafRange {
  readonly start: number;
  readonly end: number;
}

/** The hash of an entry as a leaf: SHA-256 of a zero byte and the entry (RFC 6962, section 2.1). */
export function leafHash(entry: Uint8Array): Uint8Array {
  const input = new Uint8Array(entry.length + 1);
  input.set(entry, 1);
  return sha256(input);
}

// Reused by every call, which holds because hashing is synchronous. Its first byte is the prefix of inner nodes.
const nodeInput = Uint8Array.of(1, ...new Uint8Array(2 * hashSize));

/** The hash over two subtrees: SHA-256 of a one byte, left and right (RFC 6962, section 2.1). Both have 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + hashSize);
  return sha256(nodeInput);
}

/** The root of a tree without leaves: SHA-256 of nothing. */
export function emptyRoot(): Uint8Array {
  return sha256(new Uint8Array(0));
}

/** The root over leaf hashes held in memory, of the whole list or of a range of it. Linear in the leaves. */
export function treeRoot(
  leafHashes: readonly Uint8Array[],
  range: LeafRange = { start: 0, end: leafHashes.length },
): Uint8Array {
  const { start, end } = range;
  if (!(Number.isSafeInteger(start) && start >= 0 && start <= end && end <= leafHashes.length)) {
    throw new RangeError("the range reaches beyond the leaves");
  }
  const peaks: Uint8Array[] = [];
  for (let i = start; i < end; i++) {
    const hash = leafHashes[i];
    if (hash === undefined) throw new RangeError("a leaf hash is missing");
    pushPeak(peaks, i - start, hash);
  }
  return foldPeaks(peaks);
}

/**
 * Appends a leaf to a forest of perfect subtrees, largest first, which is the whole memory that a growing tree needs
 * (one hash for each one bit of `size`). `merged` hears each subtree that is completed by it, lowest first.
 */
export function pushPeak(
  peaks: Uint8Array[],
  size: number,
  leaf: Uint8Array,
  merged?: (level: number, hash: Uint8Array) => void,
): void {
  let hash = leaf;
  let level = 0;
  for (let rest = size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
    const left = peaks.pop();
    if (left === undefined) throw new RangeError("the peaks do not belong to a tree of that size");
    hash = nodeHash(left, hash);
    level++;
    merged?.(level, hash);
  }
  peaks.push(hash);
}

/** The root over perfect subtrees, largest first; of none, the empty root. */
export function foldPeaks(peaks: readonly Uint8Array[]): Uint8Array {
  const root = peaks.reduceRight<Uint8Array | undefined>(
    (right, peak) => (right === undefined ? peak : nodeHash(peak, right)),
    undefined,
  );
  return root ?? emptyRoot();
}

/** Whether two byte arrays are equal. Nothing in a log is secret, so this may stop at the first difference. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
