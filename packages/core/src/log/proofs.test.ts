import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../lib/hex.ts";
import { ok, type Result } from "../lib/result.ts";
import { emptyRoot, leafHash, nodeHash, treeRoot } from "./merkle.ts";
import { proveConsistency, proveInclusion, verifyConsistency, verifyInclusion } from "./proofs.ts";
import { readConsistencyProof, readInclusionProof, readRoot, type HashReader } from "./tile-source.ts";

interface Vectors {
  readonly leafHashes: readonly string[];
  readonly roots: readonly string[];
  readonly inclusion: readonly { readonly index: number; readonly size: number; readonly proof: readonly string[] }[];
  readonly consistency: readonly { readonly from: number; readonly to: number; readonly proof: readonly string[] }[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL("vectors/merkle.json", import.meta.url), "utf8"));

const largest = 300;
const hashes = Array.from({ length: largest }, (_, i) => leafHash(Uint8Array.of(i >> 8, i & 0xff)));
const hashAt = (index: number) => hashes[index] ?? emptyRoot();

// The recursive definitions of RFC 6962, section 2.1, written down as they stand there: what the proofs are held against.
const known = new Map<string, Uint8Array>();
function rootOf(start: number, end: number): Uint8Array {
  if (end === start) return emptyRoot();
  if (end - start === 1) return hashAt(start);
  const label = `${start}-${end}`;
  const root =
    known.get(label) ?? nodeHash(rootOf(start, start + split(end - start)), rootOf(start + split(end - start), end));
  known.set(label, root);
  return root;
}
function split(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}
function definedInclusion(index: number, start: number, end: number): Uint8Array[] {
  if (end - start === 1) return [];
  const middle = start + split(end - start);
  return index < middle
    ? [...definedInclusion(index, start, middle), rootOf(middle, end)]
    : [...definedInclusion(index, middle, end), rootOf(start, middle)];
}
function definedConsistency(old: number, start: number, end: number, whole: boolean): Uint8Array[] {
  if (old === end) return whole ? [] : [rootOf(start, end)];
  const middle = start + split(end - start);
  return old <= middle
    ? [...definedConsistency(old, start, middle, whole), rootOf(middle, end)]
    : [...definedConsistency(old, middle, end, false), rootOf(start, middle)];
}

const head = (size: number) => ({ size, root: rootOf(0, size) });
const claim = (index: number, size: number) => ({ ...head(size), index, leafHash: hashAt(index) });
const codeOf = (result: Result<unknown>) => (result.ok ? "ok" : result.code);

/** Cheaper than `expect`, whose million calls would take longer than the proofs. */
function holds(actual: string, expected: RegExp | string): void {
  const met = typeof expected === "string" ? actual === expected : expected.test(actual);
  if (!met) expect.fail(`\`${actual}\` where \`${String(expected)}\` was to hold`);
}

function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = Uint8Array.from(bytes);
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return flipped;
}

/**
 * Proofs with one bit flipped: in trees up to size 8 every bit, up to 96 one bit of each hash, above one bit of one
 * hash. Which one differs from case to case, so that all of them get their turn.
 */
function* flippedProofs(proof: readonly Uint8Array[], size: number, turn: number): Generator<Uint8Array[]> {
  for (const [at, hash] of proof.entries()) {
    if (size > 96 && at !== turn % proof.length) continue;
    const bits = size <= 8 ? Array.from({ length: 256 }, (_, bit) => bit) : [(turn * 31 + at * 7) % 256];
    for (const bit of bits) yield proof.with(at, flipBit(hash, bit));
  }
}

describe("published proofs", () => {
  const leaves = vectors.leafHashes.map(fromHex);
  const headAt = (size: number) => ({ size, root: fromHex(vectors.roots[size] ?? "") });

  it.each(vectors.inclusion)("of leaf $index in a tree of size $size", ({ index, size, proof }) => {
    expect(proveInclusion(leaves.slice(0, size), index).map(toHex)).toEqual(proof);
    const leaf = leaves[index] ?? emptyRoot();
    expect(codeOf(verifyInclusion({ ...headAt(size), index, leafHash: leaf }, proof.map(fromHex)))).toBe("ok");
  });

  it.each(vectors.consistency)("of growth from $from to $to", ({ from, to, proof }) => {
    expect(proveConsistency(leaves.slice(0, to), from).map(toHex)).toEqual(proof);
    expect(codeOf(verifyConsistency(headAt(from), headAt(to), proof.map(fromHex)))).toBe("ok");
  });

  // From the test data that implementations of RFC 6962 share.
  it("are those that other implementations publish", () => {
    expect(proveInclusion(leaves, 5).map(toHex)).toEqual([
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]);
    expect(proveConsistency(leaves, 6).map(toHex)).toEqual([
      "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]);
  });
});

describe("inclusion proofs", () => {
  it("of every leaf of every tree up to size 300 verify, and none does with a bit flipped", () => {
    for (let size = 1; size <= largest; size++) {
      for (let index = 0; index < size; index++) {
        const proof = definedInclusion(index, 0, size);
        const good = claim(index, size);
        holds(codeOf(verifyInclusion(good, proof)), "ok");
        for (const flipped of flippedProofs(proof, size, index)) {
          holds(codeOf(verifyInclusion(good, flipped)), "root_mismatch");
        }
        const bit = (index * 13) % 256;
        holds(codeOf(verifyInclusion({ ...good, leafHash: flipBit(good.leafHash, bit) }, proof)), "root_mismatch");
        holds(codeOf(verifyInclusion({ ...good, root: flipBit(good.root, bit) }, proof)), "root_mismatch");
      }
    }
  });

  it("are made as defined, at every size up to 64", () => {
    for (let size = 1; size <= 64; size++) {
      for (let index = 0; index < size; index++) {
        expect(proveInclusion(hashes.slice(0, size), index)).toEqual(definedInclusion(index, 0, size));
      }
    }
  });

  it("hold for no other leaf or index, at every size up to 64", () => {
    for (let size = 2; size <= 64; size++) {
      for (let index = 0; index < size; index++) {
        const proof = definedInclusion(index, 0, size);
        for (let other = 0; other < size; other++) {
          if (other === index) continue;
          const elsewhere = verifyInclusion({ ...claim(index, size), index: other }, proof);
          holds(codeOf(elsewhere), /^(?:root_mismatch|proof_malformed)$/);
          holds(codeOf(verifyInclusion({ ...claim(index, size), leafHash: hashAt(other) }, proof)), "root_mismatch");
        }
      }
    }
  });

  it("with hashes missing, added or of another length are malformed", () => {
    const proof = definedInclusion(5, 0, 11);
    const check = (hashes: readonly Uint8Array[]) => codeOf(verifyInclusion(claim(5, 11), hashes));
    expect(check(proof.slice(1))).toBe("proof_malformed");
    expect(check(proof.slice(0, -1))).toBe("proof_malformed");
    expect(check([...proof, hashAt(0)])).toBe("proof_malformed");
    expect(check(proof.with(1, new Uint8Array(31)))).toBe("proof_malformed");
    expect(check(proof.with(1, new Uint8Array(33)))).toBe("proof_malformed");
    expect(codeOf(verifyInclusion({ ...claim(5, 11), leafHash: new Uint8Array(64) }, proof))).toBe("proof_malformed");
  });

  it.each([-1, 5, 0.5, NaN, 2 ** 53])("of leaf %d of five cannot be made", (index) => {
    expect(() => proveInclusion(hashes.slice(0, 5), index)).toThrow(RangeError);
  });

  it.each([
    [0, 0],
    [1, 1],
    [-1, 5],
    [5, 5],
    [0.5, 5],
    [NaN, 5],
    [0, NaN],
    [0, Infinity],
    [0, 2 ** 53],
    [2 ** 53, 2 ** 53],
  ])("of leaf %d in a tree of size %d are refused", (index, size) => {
    const claimed = { index, size, leafHash: hashAt(0), root: hashAt(0) };
    expect(codeOf(verifyInclusion(claimed, []))).toBe("index_out_of_range");
  });
});

describe("consistency proofs", () => {
  it("between all sizes up to 300 verify, and none does with a bit flipped", () => {
    for (let to = 1; to <= largest; to++) {
      for (let from = 1; from <= to; from++) {
        const proof = definedConsistency(from, 0, to, true);
        const [older, newer] = [head(from), head(to)];
        holds(codeOf(verifyConsistency(older, newer, proof)), "ok");
        for (const flipped of flippedProofs(proof, to, from)) {
          holds(codeOf(verifyConsistency(older, newer, flipped)), /^(?:old|new)_root_mismatch$/);
        }
        const bit = (from * 13) % 256;
        const [oldFlipped, newFlipped] = [flipBit(older.root, bit), flipBit(newer.root, bit)];
        // Where the old tree is a subtree of the new one, its root is itself the first hash of the path to the new root.
        const oldRefusal = from === to ? /^roots_differ$/ : /^(?:old|new)_root_mismatch$/;
        holds(codeOf(verifyConsistency({ ...older, root: oldFlipped }, newer, proof)), oldRefusal);
        const newRefusal = from === to ? "roots_differ" : "new_root_mismatch";
        holds(codeOf(verifyConsistency(older, { ...newer, root: newFlipped }, proof)), newRefusal);
      }
    }
  });

  it("are made as defined, at all sizes up to 64", () => {
    for (let to = 1; to <= 64; to++) {
      for (let from = 1; from <= to; from++) {
        expect(proveConsistency(hashes.slice(0, to), from)).toEqual(definedConsistency(from, 0, to, true));
      }
    }
  });

  it("hold between no other sizes", () => {
    for (let to = 3; to <= 40; to++) {
      for (let from = 1; from < to; from++) {
        const proof = definedConsistency(from, 0, to, true);
        for (let other = 1; other < to; other++) {
          if (other === from) continue;
          expect(verifyConsistency(head(other), head(to), proof).ok).toBe(false);
        }
      }
    }
  });

  it("do not exist after history was rewritten", () => {
    for (const changed of [0, 7, 13, 19]) {
      const rewritten = hashes.slice(0, 30).with(changed, leafHash(new TextEncoder().encode("another past")));
      const newer = { size: 30, root: treeRoot(rewritten) };
      expect(codeOf(verifyConsistency(head(20), newer, proveConsistency(rewritten, 20)))).toBe("old_root_mismatch");
    }
  });

  it("need equal roots at equal sizes, and no hashes", () => {
    expect(codeOf(verifyConsistency(head(20), { ...head(20), root: hashAt(0) }, []))).toBe("roots_differ");
    expect(codeOf(verifyConsistency(head(20), head(20), [hashAt(0)]))).toBe("proof_malformed");
  });

  it("from the empty tree need no hashes, but its root", () => {
    expect(proveConsistency(hashes, 0)).toEqual([]);
    expect(codeOf(verifyConsistency(head(0), head(20), []))).toBe("ok");
    expect(codeOf(verifyConsistency(head(0), head(0), []))).toBe("ok");
    expect(codeOf(verifyConsistency(head(0), head(20), [hashAt(0)]))).toBe("proof_malformed");
    expect(codeOf(verifyConsistency({ size: 0, root: hashAt(0) }, head(20), []))).toBe("old_root_mismatch");
  });

  it("refuse a tree that shrank and sizes that are none", () => {
    expect(codeOf(verifyConsistency(head(20), head(19), []))).toBe("size_decreased");
    for (const size of [-1, 1.5, NaN, Infinity, 2 ** 53]) {
      expect(codeOf(verifyConsistency({ ...head(1), size }, head(20), []))).toBe("size_malformed");
      expect(codeOf(verifyConsistency(head(1), { ...head(20), size }, []))).toBe("size_malformed");
    }
    expect(() => proveConsistency(hashes, 301)).toThrow(RangeError);
    expect(() => proveConsistency(hashes, -1)).toThrow(RangeError);
  });

  it("with hashes missing, added or of another length are malformed", () => {
    const proof = definedConsistency(6, 0, 11, true);
    const check = (hashes: readonly Uint8Array[]) => codeOf(verifyConsistency(head(6), head(11), hashes));
    expect(check(proof.slice(1))).toBe("proof_malformed");
    expect(check([...proof, hashAt(0)])).toBe("proof_malformed");
    expect(check(proof.with(0, new Uint8Array(31)))).toBe("proof_malformed");
    expect(codeOf(verifyConsistency({ ...head(6), root: new Uint8Array(31) }, head(11), proof))).toBe(
      "proof_malformed",
    );
  });
});

describe("trees beyond 32 bits", () => {
  // All leaves alike, so the hash of a subtree depends on its height alone and no leaf has to be stored.
  const byLevel = Array.from({ length: 54 });
  const subtrees: Uint8Array[] = [];
  for (const level of byLevel.keys()) {
    const below = subtrees[level - 1];
    subtrees.push(below === undefined ? hashAt(0) : nodeHash(below, below));
  }
  const read: HashReader = (level) => Promise.resolve(ok(subtrees[level] ?? emptyRoot()));
  const valueOf = <T>(result: Result<T>): T => {
    if (!result.ok) throw new Error(result.code);
    return result.value;
  };
  const size = fc.oneof(
    fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    fc.nat(52).map((bit) => 2 ** bit),
    fc.integer({ min: 1, max: 53 }).map((bit) => 2 ** bit - 1),
  );

  it("have inclusion proofs that verify", async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), async (size, place) => {
        const index = Math.floor(place * size);
        const proof = valueOf(await readInclusionProof(read, index, size));
        const root = valueOf(await readRoot(read, size));
        expect(codeOf(verifyInclusion({ index, size, root, leafHash: hashAt(0) }, proof))).toBe("ok");
        expect(codeOf(verifyInclusion({ index, size, root, leafHash: hashAt(1) }, proof))).toBe("root_mismatch");
      }),
    );
  });

  it("have consistency proofs that verify", async () => {
    await fc.assert(
      fc.asyncProperty(size, size, async (a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const proof = valueOf(await readConsistencyProof(read, from, to));
        const older = { size: from, root: valueOf(await readRoot(read, from)) };
        const newer = { size: to, root: valueOf(await readRoot(read, to)) };
        expect(codeOf(verifyConsistency(older, newer, proof))).toBe("ok");
        expect(verifyConsistency({ ...older, root: hashAt(1) }, newer, proof).ok).toBe(false);
      }),
    );
  });
});
