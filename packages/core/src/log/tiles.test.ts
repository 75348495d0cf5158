import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  changedTiles,
  decodeBundle,
  encodeBundle,
  hashesAtLevel,
  maxEntryBytes,
  parseTilePath,
  splitHashes,
  tileOf,
  tilePath,
  type TileRef,
} from "./tiles.ts";

interface Vectors {
  readonly paths: readonly (TileRef & { readonly path: string })[];
  readonly refusedPaths: readonly string[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL("vectors/tiles.json", import.meta.url), "utf8"));

describe("tile paths", () => {
  it.each(vectors.paths)("$path", ({ path, ...ref }) => {
    expect(tilePath(ref)).toBe(path);
    expect(parseTilePath(path)).toEqual(ref);
  });

  it("has the standard's example", () => {
    expect(tilePath({ level: 0, index: 1234067, width: 256 })).toBe("tile/0/x001/x234/067");
  });

  it.each(vectors.refusedPaths)("refuses %j", (path) => {
    expect(parseTilePath(path)).toBeUndefined();
  });

  it("parses of all texts only those that it writes", () => {
    const part = fc.constantFrom(
      "tile",
      "entries",
      "0",
      "00",
      "7",
      "63",
      "000",
      "001",
      "x001",
      "x000",
      ".p",
      "256",
      "255",
      "01",
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 7 }), fc.constantFrom("/", ""), (parts, between) => {
        const path = parts.join(between);
        const ref = parseTilePath(path);
        if (ref !== undefined) expect(tilePath(ref)).toBe(path);
      }),
      { numRuns: 2000 },
    );
  });

  it("round-trips every tile", () => {
    const level = fc.oneof(fc.constant("entries" as const), fc.integer({ min: 0, max: 63 }));
    const index = fc.oneof(fc.nat(), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
    fc.assert(
      fc.property(level, index, fc.integer({ min: 1, max: 256 }), (level, index, width) => {
        const ref = { level, index, width };
        expect(parseTilePath(tilePath(ref))).toEqual(ref);
      }),
    );
  });

  it.each([
    { level: 0, index: -1, width: 1 },
    { level: 0, index: 0.5, width: 1 },
    { level: 0, index: 2 ** 53, width: 1 },
    { level: 0, index: 0, width: 0 },
    { level: 0, index: 0, width: 257 },
  ])("throws for a tile that cannot be: $index, $width", (ref) => {
    expect(() => tilePath(ref)).toThrow(RangeError);
  });
});

describe("the tiles of a tree", () => {
  it("of 70,000 leaves are those of the standard's example", () => {
    const tiles = [...changedTiles(0, 70_000)];
    const count = (level: TileRef["level"], full: boolean) =>
      tiles.filter((tile) => tile.level === level && (tile.width === 256) === full).length;
    expect([count(0, true), count(0, false), count(1, true), count(1, false), count(2, false)]).toEqual([
      273, 1, 1, 1, 1,
    ]);
    expect(tileOf(70_000, 0, 273)?.width).toBe(112);
    expect(tileOf(70_000, 1, 1)?.width).toBe(17);
    expect(tileOf(70_000, 2, 0)?.width).toBe(1);
    expect(count("entries", true) + count("entries", false)).toBe(274);
  });

  it("of 256 leaves are a full one and a partial one above it", () => {
    expect([...changedTiles(0, 256)].map(tilePath)).toEqual(["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
  });

  it("never include an empty one", () => {
    expect(tileOf(0, 0, 0)).toBeUndefined();
    expect(tileOf(256, "entries", 1)).toBeUndefined();
    expect(tileOf(255, 1, 0)).toBeUndefined();
    expect([...changedTiles(0, 0)]).toEqual([]);
    expect([...changedTiles(300, 300)]).toEqual([]);
  });

  it("are, after growing, those of the new size less those of the old one", () => {
    const size = fc.oneof(fc.integer({ min: 0, max: 1100 }), fc.integer({ min: 65_000, max: 66_200 }));
    fc.assert(
      fc.property(size, fc.nat(700), (from, by) => {
        const old = new Set([...changedTiles(0, from)].map(tilePath));
        const all = [...changedTiles(0, from + by)].map(tilePath);
        expect([...changedTiles(from, from + by)].map(tilePath)).toEqual(all.filter((path) => !old.has(path)));
      }),
      { numRuns: 60 },
    );
  });

  it("throw where it would shrink", () => {
    expect(() => [...changedTiles(2, 1)]).toThrow(RangeError);
    expect(() => [...changedTiles(-1, 1)]).toThrow(RangeError);
    expect(() => [...changedTiles(0, NaN)]).toThrow(RangeError);
  });

  it("are counted exactly up to the largest size", () => {
    for (let level = 0; level < 8; level++) {
      const exact = BigInt(Number.MAX_SAFE_INTEGER) >> BigInt(8 * level);
      expect(BigInt(hashesAtLevel(Number.MAX_SAFE_INTEGER, level))).toBe(exact);
    }
  });
});

describe("entry bundles", () => {
  const entries = [Uint8Array.of(1, 2, 3), new Uint8Array(0), Uint8Array.of(255)];
  const golden = Uint8Array.of(0, 3, 1, 2, 3, 0, 0, 0, 1, 255);

  it("prefix each entry with its length in two big-endian bytes", () => {
    expect(encodeBundle(entries)).toEqual(golden);
    expect(decodeBundle(golden, 3)).toEqual({ ok: true, value: entries });
    expect(encodeBundle([new Uint8Array(0x0102)]).subarray(0, 2)).toEqual(Uint8Array.of(1, 2));
  });

  it("round-trip, the empty and the largest entry included", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 20 }), (entries) => {
        expect(decodeBundle(encodeBundle(entries), entries.length)).toEqual({ ok: true, value: entries });
      }),
    );
    const largest = [new Uint8Array(maxEntryBytes)];
    expect(decodeBundle(encodeBundle(largest), 1)).toEqual({ ok: true, value: largest });
    expect(() => encodeBundle([new Uint8Array(maxEntryBytes + 1)])).toThrow(RangeError);
  });

  it("cut off at any byte, or longer by one, are malformed", () => {
    for (let length = 0; length < golden.length; length++) {
      expect(decodeBundle(golden.subarray(0, length), 3)).toMatchObject({ ok: false, code: "tile_malformed" });
    }
    for (const tail of [[0], [0, 0], [0, 1, 0]]) {
      expect(decodeBundle(Uint8Array.of(...golden, ...tail), 3)).toMatchObject({ ok: false, code: "tile_malformed" });
    }
  });

  it("with more or fewer entries than expected are malformed", () => {
    for (const width of [0, 1, 2, 4, 256]) {
      expect(decodeBundle(golden, width)).toMatchObject({ ok: false, code: "tile_malformed" });
    }
  });

  it("are read out of a view at its own offset", () => {
    expect(decodeBundle(Uint8Array.of(9, 9, ...golden, 9).subarray(2, -1), 3)).toEqual({ ok: true, value: entries });
  });
});

describe("hash tiles", () => {
  it("have 32 bytes a hash, no more and no fewer", () => {
    const bytes = Uint8Array.from({ length: 96 }, (_, i) => i);
    expect(splitHashes(bytes, 3)).toEqual({
      ok: true,
      value: [bytes.slice(0, 32), bytes.slice(32, 64), bytes.slice(64)],
    });
    for (const length of [0, 64, 95]) {
      expect(splitHashes(bytes.subarray(0, length), 3)).toMatchObject({ ok: false, code: "tile_malformed" });
    }
    expect(splitHashes(bytes, 2)).toMatchObject({ ok: false, code: "tile_malformed" });
  });
});
