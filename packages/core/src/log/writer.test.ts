import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sha256 } from "../lib/crypto.ts";
import { toHex } from "../lib/hex.ts";
import { ok, type Result } from "../lib/result.ts";
import { Frontier, frontierOf } from "./frontier.ts";
import { emptyRoot, foldPeaks, leafHash, nodeHash, treeRoot } from "./merkle.ts";
import { readRoot, type FetchTile, type HashReader } from "./tile-source.ts";
import { changedTiles, hashesAtLevel, maxEntryBytes, tilePath } from "./tiles.ts";
import { append, emptyLog, headOf, restore, type Appended, type LogState } from "./writer.ts";

interface Vectors {
  readonly roots: readonly { readonly size: number; readonly root: string }[];
  readonly growth: readonly {
    readonly from: number;
    readonly to: number;
    readonly tiles: readonly { readonly path: string; readonly length: number; readonly sha256: string }[];
  }[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL("vectors/tiles.json", import.meta.url), "utf8"));

const encoder = new TextEncoder();
const entries = Array.from({ length: 70_000 }, (_, i) => encoder.encode(`entry ${i}`));
const leafHashes = entries.map(leafHash);
const rootAt = (size: number) => treeRoot(leafHashes, { start: 0, end: size });

function appended(state: LogState, batch: readonly Uint8Array[]): Appended {
  const result = append(state, batch);
  if (!result.ok) throw new Error(result.detail);
  return result.value;
}
const stateAt = (size: number) => appended(emptyLog, entries.slice(0, size)).state;

/** A store of tiles as the audit writer keeps one. */
function store(): { tiles: Map<string, Uint8Array>; fetch: FetchTile; put: (batch: Appended) => void } {
  const tiles = new Map<string, Uint8Array>();
  return {
    tiles,
    fetch: (path) => Promise.resolve(tiles.get(path)),
    put: (batch) => batch.tiles.forEach(({ path, bytes }) => tiles.set(path, bytes)),
  };
}
const codeOf = (result: Result<unknown>) => (result.ok ? "ok" : result.code);

describe("appending", () => {
  it("begins with the empty tree", () => {
    expect(headOf(emptyLog)).toEqual({ size: 0, root: emptyRoot() });
  });

  it("gives the published roots", () => {
    for (const { size, root } of vectors.roots) expect(toHex(headOf(stateAt(size)).root)).toBe(root);
  });

  it.each(vectors.growth)("from $from to $to writes the published tiles", ({ from, to, tiles }) => {
    const batch = appended(stateAt(from), entries.slice(from, to));
    const written = batch.tiles.map(({ path, bytes }) => ({
      path,
      length: bytes.length,
      sha256: toHex(sha256(bytes)),
    }));
    expect(written.toSorted(byPath)).toEqual(tiles.toSorted(byPath));
  });

  it("in batches of any sizes gives at each step the root of the whole list and exactly the tiles that are new", () => {
    const sizes = fc.array(fc.oneof(fc.nat(5), fc.nat(300), fc.constantFrom(255, 256, 257, 512)), { maxLength: 8 });
    fc.assert(
      fc.property(sizes, (sizes) => {
        let state = emptyLog;
        for (const size of sizes) {
          const from = state.frontier.size;
          const batch = appended(state, entries.slice(from, from + size));
          expect(batch.head).toEqual({ size: from + size, root: rootAt(from + size) });
          expect(headOf(batch.state)).toEqual(batch.head);
          const expected = [...changedTiles(from, from + size)].map(tilePath);
          expect(batch.tiles.map(({ path }) => path).toSorted()).toEqual(expected.toSorted());
          state = batch.state;
        }
      }),
      { numRuns: 60 },
    );
  });

  it("leaves the state before it as it was, so that a batch can be given up and another one tried", () => {
    const before = stateAt(600);
    const copy = structuredClone(before);
    const batch = appended(before, entries.slice(600, 1200));
    appended(before, entries.slice(0, 500));
    expect(before).toEqual(copy);
    expect(appended(before, entries.slice(600, 1200))).toEqual(batch);
  });

  it("of nothing changes nothing", () => {
    const before = stateAt(300);
    const batch = appended(before, []);
    expect(batch.tiles).toEqual([]);
    expect(batch.state).toEqual(before);
    expect(batch.head).toEqual(headOf(before));
  });

  it("takes the largest entry, and none larger, in which case it appends none of the batch", () => {
    expect(codeOf(append(emptyLog, [new Uint8Array(maxEntryBytes)]))).toBe("ok");
    const refusedBatch = append(emptyLog, [new Uint8Array(1), new Uint8Array(maxEntryBytes + 1)]);
    expect(refusedBatch).toMatchObject({ ok: false, code: "entry_too_large" });
  });

  it("keeps a memory that does not grow with the log", () => {
    const { frontier, pending } = stateAt(69_999);
    const held = frontier.peaks.length + frontier.rows.flat().length + pending.length;
    expect(held).toBeLessThan(17 + 3 * 255 + 255);
  });
});

describe("a log beyond 32 bits", () => {
  // All leaves alike, so that the edge of a huge tree can be written down.
  const subtrees = [leafHash(encoder.encode("same"))];
  for (let level = 1; level < 54; level++) {
    const below = subtrees[level - 1] ?? emptyRoot();
    subtrees.push(nodeHash(below, below));
  }
  const read: HashReader = (level) => Promise.resolve(ok(subtrees[level] ?? emptyRoot()));
  const edgeAt = (size: number) =>
    frontierOf(
      size,
      [0, 1, 2, 3, 4, 5, 6].map((level) =>
        Array.from({ length: hashesAtLevel(size, level) % 256 }, () => subtrees[8 * level] ?? emptyRoot()),
      ),
    );

  it.each([2 ** 32 - 3, 2 ** 40 + 255, 2 ** 48 - 1, Number.MAX_SAFE_INTEGER - 300])(
    "grows on from %d",
    async (size) => {
      const frontier = new Frontier(edgeAt(size));
      for (let i = 0; i < 300; i++) frontier.add(subtrees[0] ?? emptyRoot());
      expect(await readRoot(read, size + 300)).toEqual(ok(frontier.root()));
      const written = [...frontier.takeCompleted(), ...frontier.changedPartials()].map(({ ref }) => tilePath(ref));
      const expected = [...changedTiles(size, size + 300)].filter(({ level }) => level !== "entries").map(tilePath);
      expect(written.toSorted()).toEqual(expected.toSorted());
    },
  );

  it("refuses the entry that could no longer be counted", () => {
    const full: LogState = { frontier: edgeAt(Number.MAX_SAFE_INTEGER), pending: [] };
    expect(append(full, [new Uint8Array(1)])).toMatchObject({ ok: false, code: "log_full" });
  });
});

describe("restoring", () => {
  const sizes = [0, 1, 2, 255, 256, 257, 300, 511, 512, 513, 65_535, 65_536, 65_537, 69_999];

  it.each(sizes)("from the tiles of size %d gives the state that wrote them", async (size) => {
    const { fetch, put } = store();
    const batch = appended(emptyLog, entries.slice(0, size));
    put(batch);
    expect(await restore(fetch, batch.head)).toEqual(ok(batch.state));
  });

  it("goes on from the last checkpoint where a later batch was stored but never signed", async () => {
    const { fetch, put } = store();
    const signed = appended(emptyLog, entries.slice(0, 500));
    put(signed);
    put(appended(signed.state, entries.slice(10_000, 10_700)));
    const restored = await restore(fetch, signed.head);
    expect(restored).toEqual(ok(signed.state));
  });

  it("reads full tiles where the partial ones have been dropped", async () => {
    const { tiles, fetch, put } = store();
    const signed = appended(emptyLog, entries.slice(0, 500));
    put(signed);
    put(appended(signed.state, entries.slice(500, 600)));
    for (const path of ["tile/entries/001.p/244", "tile/0/001.p/244"]) expect(tiles.delete(path)).toBe(true);
    expect(await restore(fetch, signed.head)).toEqual(ok(signed.state));
  });

  it("refuses whatever does not add up to the checkpoint", async () => {
    const { tiles, fetch, put } = store();
    const { head } = putAll(put, 500);
    expect(codeOf(await restore(fetch, { ...head, root: rootAt(499) }))).toBe("root_mismatch");
    expect(codeOf(await restore(fetch, { ...head, size: 499 }))).toBe("tile_missing");
    for (const path of ["tile/0/001.p/244", "tile/1/000.p/1", "tile/entries/001.p/244"]) {
      const bytes = tiles.get(path) ?? new Uint8Array(0);
      tiles.delete(path);
      expect(codeOf(await restore(fetch, head))).toBe("tile_missing");
      tiles.set(path, bytes.subarray(1));
      expect(codeOf(await restore(fetch, head))).toBe("tile_malformed");
      const flipped = Uint8Array.from(bytes);
      flipped[bytes.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
      tiles.set(path, flipped);
      expect(codeOf(await restore(fetch, head))).toBe(path.includes("entries") ? "tile_mismatch" : "root_mismatch");
      tiles.set(path, bytes);
    }
    expect(codeOf(await restore(fetch, head))).toBe("ok");
  });

  it("authenticates every hash of the edge", () => {
    const { size, rows, peaks } = stateAt(66_000).frontier;
    expect(foldPeaks(peaks)).toEqual(rootAt(66_000));
    for (const [level, row] of rows.entries()) {
      for (const index of row.keys()) {
        const forged = frontierOf(size, rows.with(level, row.with(index, emptyRoot())));
        expect(foldPeaks(forged.peaks)).not.toEqual(foldPeaks(peaks));
      }
    }
  });
});

function putAll(put: (batch: Appended) => void, size: number): Appended {
  const batch = appended(emptyLog, entries.slice(0, size));
  put(batch);
  return batch;
}

function byPath(a: { readonly path: string }, b: { readonly path: string }): number {
  return a.path < b.path ? -1 : 1;
}
