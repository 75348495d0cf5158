/**
 * Reading a log through its tiles: single tiles, and any stored hash of the tree. What comes out is as trustworthy as
 * the tiles; a proof made from it convinces only once it is verified against a signed checkpoint.
 */
import { ok, refused, type Result } from "../lib/result.ts";
import { foldPeaks, treeRoot, type LeafRange } from "./merkle.ts";
import { consistencyRanges, inclusionRanges } from "./proofs.ts";
import { decodeBundle, splitHashes, tileHeight, tilePath, tileOf, tileWidth, type TileRef } from "./tiles.ts";

/**
 * Fetches a tile by its path below the log's prefix; `undefined` where there is none. It caps what it reads (a hash
 * tile has at most 8,192 bytes, a bundle 16,777,472), sets its own time-out, and throws where it could not find out.
 */
export type FetchTile = (path: string, signal?: AbortSignal) => Promise<Uint8Array | undefined>;

export type TileRefusal = "tile_missing" | "tile_malformed";

/**
 * Reads the hash over the `2 ** level` leaves from `index * 2 ** level`, which must be complete in the tree that the
 * reader was made for.
 */
export type HashReader = (level: number, index: number) => Promise<Result<Uint8Array, TileRefusal>>;

/** The hashes of a tile, or their first ones out of the full tile where the log has dropped the partial one. */
export async function fetchHashes(
  fetch: FetchTile,
  ref: TileRef,
  signal?: AbortSignal,
): Promise<Result<Uint8Array[], TileRefusal>> {
  return await fetchParts(fetch, ref, splitHashes, signal);
}

/** The entries of a bundle, or its first ones out of the full bundle where the log has dropped the partial one. */
export async function fetchEntries(
  fetch: FetchTile,
  ref: TileRef,
  signal?: AbortSignal,
): Promise<Result<Uint8Array[], TileRefusal>> {
  return await fetchParts(fetch, ref, decodeBundle, signal);
}

async function fetchParts(
  fetch: FetchTile,
  ref: TileRef,
  decode: (bytes: Uint8Array, width: number) => Result<Uint8Array[], "tile_malformed">,
  signal: AbortSignal | undefined,
): Promise<Result<Uint8Array[], TileRefusal>> {
  for (const width of new Set([ref.width, tileWidth])) {
    const path = tilePath({ ...ref, width });
    signal?.throwIfAborted();
    const bytes = await fetch(path, signal);
    if (bytes === undefined) continue;
    const parts = decode(bytes, width);
    if (!parts.ok) return refused(parts.code, `${parts.detail} (\`${path}\`)`);
    return ok(parts.value.slice(0, ref.width));
  }
  return refused("tile_missing", `the log has no \`${tilePath(ref)}\``);
}

/** Reads the hashes of a tree of that size out of its tiles; each tile is fetched once and kept as long as the reader. */
export function hashReaderOver(fetch: FetchTile, size: number, signal?: AbortSignal): HashReader {
  const tiles = new Map<string, Promise<Result<Uint8Array[], TileRefusal>>>();
  return async (level, index) => {
    const tileLevel = Math.floor(level / tileHeight);
    const count = 2 ** (level % tileHeight);
    const first = index * count;
    const ref = tileOf(size, tileLevel, Math.floor(first / tileWidth));
    const start = first % tileWidth;
    if (ref === undefined || start + count > ref.width) throw new RangeError("no such hash in the tree");
    const path = tilePath(ref);
    const pending = tiles.get(path) ?? fetchHashes(fetch, ref, signal);
    tiles.set(path, pending);
    const hashes = await pending;
    return hashes.ok ? ok(treeRoot(hashes.value, { start, end: start + count })) : hashes;
  };
}

/** The root of a tree of that size. */
export async function readRoot(read: HashReader, size: number): Promise<Result<Uint8Array, TileRefusal>> {
  return await readRange(read, { start: 0, end: size });
}

/** The inclusion proof of one leaf in a tree of that size. @throws RangeError where there is no such leaf. */
export async function readInclusionProof(
  read: HashReader,
  index: number,
  size: number,
): Promise<Result<Uint8Array[], TileRefusal>> {
  return await readRanges(read, inclusionRanges(index, size));
}

/** The proof that the tree of `newSize` begins with that of `oldSize`. @throws RangeError where it would shrink. */
export async function readConsistencyProof(
  read: HashReader,
  oldSize: number,
  newSize: number,
): Promise<Result<Uint8Array[], TileRefusal>> {
  return await readRanges(read, consistencyRanges(oldSize, newSize));
}

async function readRanges(read: HashReader, ranges: readonly LeafRange[]): Promise<Result<Uint8Array[], TileRefusal>> {
  return allOf(await Promise.all(ranges.map(async (range) => await readRange(read, range))));
}

async function readRange(read: HashReader, range: LeafRange): Promise<Result<Uint8Array, TileRefusal>> {
  const subtrees = perfectSubtrees(range);
  const peaks = allOf(await Promise.all(subtrees.map(async ([level, index]) => await read(level, index))));
  return peaks.ok ? ok(foldPeaks(peaks.value)) : peaks;
}

// Ranges of proofs start at a multiple of the power of two that covers them, so this is the binary form of their length.
function perfectSubtrees({ start, end }: LeafRange): [level: number, index: number][] {
  const subtrees: [number, number][] = [];
  let at = start;
  while (at < end) {
    let level = 0;
    while (2 ** (level + 1) <= end - at) level++;
    subtrees.push([level, at / 2 ** level]);
    at += 2 ** level;
  }
  return subtrees;
}

function allOf<T, Code extends string>(results: readonly Result<T, Code>[]): Result<T[], Code> {
  const values: T[] = [];
  for (const result of results) {
    if (!result.ok) return result;
    values.push(result.value);
  }
  return ok(values);
}
