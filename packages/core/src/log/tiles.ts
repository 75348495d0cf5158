/**
 * Where a log's tiles are and what is in them (C2SP tlog-tiles): names, widths, which ones a growing log writes, and
 * the codec of entry bundles. Pure; the writer's and the reader's sides both stand on it.
 */
import { ok, refused, type Result } from "../lib/result.ts";
import { hashSize } from "./merkle.ts";

/** Hashes in a full tile, entries in a full bundle. */
export const tileWidth = 256;

/** Levels of the binary tree that one tile spans: `2 ** tileHeight === tileWidth`. */
export const tileHeight = 8;

/** Bytes of the largest entry that a bundle's 16-bit length can express. */
export const maxEntryBytes = 0xffff;

// 256 ** 7 exceeds 2 ** 53, so trees of a countable size have tiles at levels 0 to 6; the standard allows 63.
const maxLevel = 63;

/** One tile: its level (or `entries` for a bundle of entries), its place in that level, and how many it holds. */
export interface TileRef {
  readonly level: number | "entries";
  readonly index: number;
  readonly width: number;
}

/** A tile as it is stored and served. */
export interface Tile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The path below the log's prefix: `tile/0/x001/x234/067`, with `.p/W` behind it where fewer than 256 are in it. */
export function tilePath({ level, index, width }: TileRef): string {
  if (!(Number.isSafeInteger(index) && index >= 0)) throw new RangeError("not a tile's index");
  if (!(Number.isInteger(width) && width >= 1 && width <= tileWidth)) throw new RangeError("not a tile's width");
  let path = String(index % 1000).padStart(3, "0");
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, "0")}/${path}`;
  }
  return `tile/${level}/${path}${width === tileWidth ? "" : `.p/${width}`}`;
}

const pathPattern = /^tile\/(?<level>entries|\d{1,2})\/(?<index>(?:x\d{3}\/){0,5}\d{3})(?:\.p\/(?<width>\d{1,3}))?$/;

/** The tile that a path names, or `undefined` for anything that `tilePath` does not write. Safe on untrusted text. */
export function parseTilePath(path: string): TileRef | undefined {
  const groups = pathPattern.exec(path)?.groups;
  if (groups === undefined) return undefined;
  const level: TileRef["level"] = groups["level"] === "entries" ? "entries" : Number(groups["level"]);
  const index = Number(groups["index"]?.replaceAll(/[x/]/g, ""));
  const width = Number(groups["width"] ?? tileWidth);
  if ((level !== "entries" && level > maxLevel) || !Number.isSafeInteger(index)) return undefined;
  if (width < 1 || width > tileWidth) return undefined;
  const ref: TileRef = { level, index, width };
  // Leading zeroes and `.p/256` parse, but are not how the tile is called.
  return tilePath(ref) === path ? ref : undefined;
}

/** How many hashes a tree has at a tile level: that of its complete subtrees of height `8 * level`. */
export function hashesAtLevel(size: number, level: number): number {
  return Math.floor(size / tileWidth ** level);
}

/** The tile at a place of a tree of that size, or `undefined` where it would be empty. */
export function tileOf(size: number, level: TileRef["level"], index: number): TileRef | undefined {
  const hashes = level === "entries" ? size : hashesAtLevel(size, level);
  const width = Math.min(tileWidth, hashes - index * tileWidth);
  return width > 0 ? { level, index, width } : undefined;
}

/**
 * Every tile of a tree of size `to` that a tree of size `from` does not have: bundles first, then levels upwards.
 * From 0, all tiles of a log. @throws RangeError where the tree would shrink.
 */
export function* changedTiles(from: number, to: number): Generator<TileRef> {
  if (!(Number.isSafeInteger(to) && from >= 0 && from <= to)) throw new RangeError("a tree only grows");
  yield* changedAt("entries", from, to);
  for (let level = 0; hashesAtLevel(to, level) > 0; level++) {
    yield* changedAt(level, hashesAtLevel(from, level), hashesAtLevel(to, level));
  }
}

function* changedAt(level: TileRef["level"], from: number, to: number): Generator<TileRef> {
  for (let index = Math.floor(from / tileWidth); index * tileWidth < to && from < to; index++) {
    yield { level, index, width: Math.min(tileWidth, to - index * tileWidth) };
  }
}

/** An entry bundle: each entry behind its length as a big-endian 16-bit number. @throws RangeError above 65,535 bytes. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(entries.reduce((total, entry) => total + 2 + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    if (entry.length > maxEntryBytes) throw new RangeError("an entry has at most 65535 bytes");
    bytes[at] = entry.length >>> 8;
    bytes[at + 1] = entry.length & 0xff;
    bytes.set(entry, at + 2);
    at += 2 + entry.length;
  }
  return bytes;
}

/** The entries of a bundle that must hold exactly `width`. They are views on `bytes`, not copies. */
export function decodeBundle(bytes: Uint8Array, width: number): Result<Uint8Array[], "tile_malformed"> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length && entries.length <= width) {
    const start = at + 2;
    if (start > bytes.length) return refused("tile_malformed", "the bundle ends inside an entry's length");
    at = start + view.getUint16(at);
    if (at > bytes.length) return refused("tile_malformed", "the bundle ends inside an entry");
    entries.push(bytes.subarray(start, at));
  }
  if (entries.length !== width) {
    const held = entries.length > width ? `more than \`${width}\`` : `only \`${entries.length}\``;
    return refused("tile_malformed", `the bundle holds ${held} entries where \`${width}\` are expected`);
  }
  return ok(entries);
}

/** The hashes of a hash tile's bytes, as views on them. A tile of `width` hashes has exactly `32 * width` bytes. */
export function splitHashes(bytes: Uint8Array, width: number): Result<Uint8Array[], "tile_malformed"> {
  if (bytes.length !== width * hashSize) {
    return refused("tile_malformed", `the tile has \`${bytes.length}\` bytes, not \`${width}\` hashes of 32`);
  }
  return ok(Array.from({ length: width }, (_, i) => bytes.subarray(i * hashSize, (i + 1) * hashSize)));
}
