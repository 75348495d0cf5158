import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../lib/hex.ts";
import { emptyRoot, foldPeaks, leafHash, nodeHash, pushPeak, sameBytes, treeRoot } from "./merkle.ts";

interface Vectors {
  readonly leaves: readonly string[];
  readonly leafHashes: readonly string[];
  readonly roots: readonly string[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL("vectors/merkle.json", import.meta.url), "utf8"));
const leafHashes = vectors.leaves.map((leaf) => leafHash(fromHex(leaf)));

describe("Merkle hashing", () => {
  it("gives the published roots of the eight well-known leaves", () => {
    expect(vectors.leaves).toHaveLength(8);
    expect(leafHashes.map(toHex)).toEqual(vectors.leafHashes);
    const roots = vectors.roots.map((_, size) => toHex(treeRoot(leafHashes, { start: 0, end: size })));
    expect(roots).toEqual(vectors.roots);
    // Stated here once more, so that a regenerated file cannot change them unnoticed.
    expect(roots[1]).toBe("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    expect(roots[8]).toBe("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
  });

  it("gives an empty tree the hash of nothing", () => {
    expect(toHex(emptyRoot())).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(treeRoot([])).toEqual(emptyRoot());
    expect(foldPeaks([])).toEqual(emptyRoot());
  });

  it("tells a leaf from a node over the same bytes", () => {
    const [left, right] = [leafHash(fromHex("00")), leafHash(fromHex("01"))];
    expect(leafHash(Uint8Array.of(...left, ...right))).not.toEqual(nodeHash(left, right));
    expect(nodeHash(left, right)).not.toEqual(nodeHash(right, left));
  });

  it("follows the recursive definition at every size up to 300, and over every range of the first 40", () => {
    const hashes = Array.from({ length: 300 }, (_, i) => leafHash(Uint8Array.of(i >> 8, i & 0xff)));
    const defined = (start: number, end: number): Uint8Array => {
      if (start === end) return emptyRoot();
      if (end - start === 1) return hashes[start] ?? emptyRoot();
      let split = 1;
      while (split * 2 < end - start) split *= 2;
      return nodeHash(defined(start, start + split), defined(start + split, end));
    };
    for (let end = 0; end <= 300; end++) expect(treeRoot(hashes, { start: 0, end })).toEqual(defined(0, end));
    for (let start = 0; start <= 40; start++) {
      for (let end = start; end <= 40; end++) expect(treeRoot(hashes, { start, end })).toEqual(defined(start, end));
    }
  });

  it("keeps one peak for each one bit of the size, and says which subtrees were completed", () => {
    const peaks: Uint8Array[] = [];
    for (let size = 0; size < 64; size++) {
      const completed: number[] = [];
      pushPeak(peaks, size, leafHash(Uint8Array.of(size)), (level) => completed.push(level));
      const ones = (size + 1).toString(2).replaceAll("0", "").length;
      const zeroesAtEnd = (size + 1).toString(2).length - (size + 1).toString(2).lastIndexOf("1") - 1;
      expect(peaks).toHaveLength(ones);
      expect(completed).toEqual(Array.from({ length: zeroesAtEnd }, (_, i) => i + 1));
    }
  });

  it.each([
    { start: -1, end: 1 },
    { start: 2, end: 1 },
    { start: 0, end: 9 },
    { start: 0.5, end: 2 },
    { start: NaN, end: 2 },
  ])("throws for the range $start to $end of eight leaves", (range) => {
    expect(() => treeRoot(leafHashes, range)).toThrow(RangeError);
  });

  it("compares bytes by content and length", () => {
    expect(sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
    expect(sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
    expect(sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).toBe(false);
  });
});
