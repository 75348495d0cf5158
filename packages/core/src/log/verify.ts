/**
 * Verifying a log through its tiles, trusting nothing but its pinned identity: the whole of it, its growth since a
 * checkpoint seen earlier, or one entry. Called by `cardea audit verify`, the offline verifier, tests and monitors.
 */
import { ok, refused, type Result } from "../lib/result.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { emptyFrontier, Frontier, type HashTile } from "./frontier.ts";
import { leafHash, sameBytes, type TreeHead } from "./merkle.ts";
import { verifyConsistency, verifyInclusion, type ConsistencyRefusal, type InclusionRefusal } from "./proofs.ts";
import {
  fetchEntries,
  fetchHashes,
  hashReaderOver,
  readConsistencyProof,
  readInclusionProof,
  type FetchTile,
  type TileRefusal,
} from "./tile-source.ts";
import { splitHashes, tileOf, tilePath, tileWidth, type TileRef } from "./tiles.ts";

export interface VerifyLogOptions {
  readonly signal?: AbortSignal;
  /** Hears the entries in order, from `start` on. They are authentic only once `verifyLog` has answered ok. */
  readonly onEntries?: (start: number, entries: readonly Uint8Array[]) => void;
}

export type LogRefusal = TileRefusal | "tile_mismatch" | "root_mismatch";

// Bundles fetched at once: enough to hide a network's latency, and at most 16 × 16 MiB in memory.
const bundlesAtOnce = 16;

/**
 * Verifies a whole log: builds the tree anew from its entries, compares every hash tile on the way, and at the end
 * the root with the checkpoint's, which the caller has opened.
 */
export async function verifyLog(
  fetch: FetchTile,
  { size, root }: TreeHead,
  { signal, onEntries }: VerifyLogOptions = {},
): Promise<Result<undefined, LogRefusal>> {
  const frontier = new Frontier(emptyFrontier);
  while (frontier.size < size) {
    const start = frontier.size;
    const refs = bundlesFrom(start / tileWidth, size);
    const bundles = await Promise.all(refs.map(async (ref) => await fetchEntries(fetch, ref, signal)));
    for (const bundle of bundles) {
      if (!bundle.ok) return bundle;
      onEntries?.(frontier.size, bundle.value);
      for (const entry of bundle.value) frontier.add(leafHash(entry));
    }
    const compared = await compareTiles(fetch, frontier.takeCompleted(), signal);
    if (!compared.ok) return compared;
  }
  const compared = await compareTiles(fetch, frontier.changedPartials(), signal);
  if (!compared.ok) return compared;
  if (!sameBytes(frontier.root(), root)) {
    return refused("root_mismatch", "the log's entries do not add up to the checkpoint's root");
  }
  return ok(undefined);
}

function bundlesFrom(first: number, size: number): TileRef[] {
  return Array.from({ length: bundlesAtOnce }, (_, i) => tileOf(size, "entries", first + i)).filter(
    (ref) => ref !== undefined,
  );
}

async function compareTiles(
  fetch: FetchTile,
  tiles: readonly HashTile[],
  signal: AbortSignal | undefined,
): Promise<Result<undefined, LogRefusal>> {
  const compared = await Promise.all(tiles.map(async (tile) => await compareTile(fetch, tile, signal)));
  return compared.find((result) => !result.ok) ?? ok(undefined);
}

async function compareTile(
  fetch: FetchTile,
  { ref, bytes }: HashTile,
  signal: AbortSignal | undefined,
): Promise<Result<undefined, LogRefusal>> {
  const stored = await fetchHashes(fetch, ref, signal);
  if (!stored.ok) return stored;
  const built = splitHashes(bytes, ref.width);
  if (!built.ok) return built;
  const differs = built.value.findIndex((hash, i) => !sameBytes(hash, stored.value[i] ?? new Uint8Array(0)));
  if (differs === -1) return ok(undefined);
  return refused("tile_mismatch", `hash \`${differs}\` of \`${tilePath(ref)}\` is not that of the log's entries`);
}

/**
 * Verifies that a log has only grown between two opened checkpoints, by a consistency proof from the newer one's
 * tiles. Equal sizes need equal roots, and no tiles.
 */
export async function verifyGrowth(
  fetch: FetchTile,
  older: Checkpoint,
  newer: Checkpoint,
  signal?: AbortSignal,
): Promise<Result<undefined, TileRefusal | ConsistencyRefusal | "origin_mismatch">> {
  if (older.origin !== newer.origin) {
    return refused("origin_mismatch", `\`${older.origin}\` and \`${newer.origin}\` are two logs`);
  }
  // A smaller newer size is refused by the verification, which then looks at no proof.
  if (older.size >= newer.size) return verifyConsistency(older, newer, []);
  const read = hashReaderOver(fetch, newer.size, signal);
  const proof = await readConsistencyProof(read, older.size, newer.size);
  return proof.ok ? verifyConsistency(older, newer, proof.value) : proof;
}

/** Fetches one entry and verifies that it is in the tree of an opened checkpoint. */
export async function verifyEntry(
  fetch: FetchTile,
  { size, root }: TreeHead,
  index: number,
  signal?: AbortSignal,
): Promise<Result<Uint8Array, TileRefusal | InclusionRefusal>> {
  const ref = tileOf(size, "entries", Math.floor(index / tileWidth));
  if (!Number.isSafeInteger(index) || index < 0 || index >= size || ref === undefined) {
    return refused("index_out_of_range", `the log of size \`${size}\` has no entry \`${index}\``);
  }
  const bundle = await fetchEntries(fetch, ref, signal);
  if (!bundle.ok) return bundle;
  const entry = bundle.value[index % tileWidth];
  if (entry === undefined) throw new RangeError("a bundle holds fewer entries than it was decoded to");
  const proof = await readInclusionProof(hashReaderOver(fetch, size, signal), index, size);
  if (!proof.ok) return proof;
  const verified = verifyInclusion({ leafHash: leafHash(entry), index, size, root }, proof.value);
  return verified.ok ? ok(entry) : verified;
}
