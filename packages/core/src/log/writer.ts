/**
 * The writer's side of a log: from a state and a batch of entries to the next state, its root, and the tiles to store.
 * Called by the audit writer, which stores the tiles, then signs a checkpoint over the root, then keeps the new state;
 * it calls `restore` with its last checkpoint after a restart. Pure: a batch that was never signed leaves no trace.
 */
import { ok, refused, type Result } from "../lib/result.ts";
import { emptyFrontier, Frontier, frontierOf, type FrontierState } from "./frontier.ts";
import { foldPeaks, leafHash, sameBytes, type TreeHead } from "./merkle.ts";
import { fetchEntries, fetchHashes, type FetchTile, type TileRefusal } from "./tile-source.ts";
import { encodeBundle, hashesAtLevel, maxEntryBytes, tileOf, tilePath, tileWidth, type Tile } from "./tiles.ts";

/** What a writer keeps between batches, in memory only: `restore` makes it anew from the tiles. Values, never changed. */
export interface LogState {
  readonly frontier: FrontierState;
  /** The entries of the unfinished bundle, at most 255. */
  readonly pending: readonly Uint8Array[];
}

/** What came of a batch. */
export interface Appended {
  readonly state: LogState;
  readonly head: TreeHead;
  /**
   * All tiles that the new size has and the old one had not. Store every one, durably, before the head is signed. A
   * crash in between leaves tiles that no checkpoint reaches; later batches overwrite them when they get there. So
   * whoever serves tiles, or drops partial ones, goes by the signed size and never by which tiles happen to exist.
   */
  readonly tiles: readonly Tile[];
}

/** The state of a log without entries. */
export const emptyLog: LogState = { frontier: emptyFrontier, pending: [] };

/** The head of a log in that state. */
export function headOf({ frontier }: LogState): TreeHead {
  return { size: frontier.size, root: foldPeaks(frontier.peaks) };
}

/** Appends entries in order, all or none. The entries are kept, not copied: do not change them afterwards. */
export function append(
  state: LogState,
  entries: readonly Uint8Array[],
): Result<Appended, "entry_too_large" | "log_full"> {
  const from = state.frontier.size;
  const oversized = entries.findIndex((entry) => entry.length > maxEntryBytes);
  if (oversized !== -1) {
    return refused("entry_too_large", `entry \`${oversized}\` of the batch exceeds ${maxEntryBytes} bytes`);
  }
  if (!Number.isSafeInteger(from + entries.length)) {
    return refused("log_full", "a log holds at most 2^53 - 1 entries; start a new origin");
  }
  const frontier = new Frontier(state.frontier);
  for (const entry of entries) frontier.add(leafHash(entry));
  const next = frontier.state();

  const bundled = [...state.pending, ...entries];
  const bundles = entries.length === 0 ? [] : bundleTiles(bundled, Math.floor(from / tileWidth));
  const hashes = [...frontier.takeCompleted(), ...frontier.changedPartials()].map(({ ref, bytes }) => ({
    path: tilePath(ref),
    bytes,
  }));
  const pending = bundled.slice(bundled.length - (next.size % tileWidth));
  return ok({
    state: { frontier: next, pending },
    head: { size: next.size, root: frontier.root() },
    tiles: [...bundles, ...hashes],
  });
}

function bundleTiles(entries: readonly Uint8Array[], firstIndex: number): Tile[] {
  const tiles: Tile[] = [];
  for (let at = 0; at < entries.length; at += tileWidth) {
    const bundle = entries.slice(at, at + tileWidth);
    const index = firstIndex + at / tileWidth;
    tiles.push({
      path: tilePath({ level: "entries", index, width: bundle.length }),
      bytes: encodeBundle(bundle),
    });
  }
  return tiles;
}

/**
 * The state behind a checkpoint, from the unfinished tiles of its size (or their full successors, which a writer
 * that crashed later may have left). Refuses unless they add up to the checkpoint's root; never continue then.
 */
export async function restore(
  fetch: FetchTile,
  head: TreeHead,
  signal?: AbortSignal,
): Promise<Result<LogState, TileRefusal | "tile_mismatch" | "root_mismatch">> {
  const { size, root } = head;
  const rows: Uint8Array[][] = [];
  for (let level = 0; hashesAtLevel(size, level) > 0; level++) {
    const row = await fetchUnfinished(fetch, size, level, signal);
    if (!row.ok) return row;
    rows.push(row.value);
  }
  const frontier = frontierOf(size, rows);
  if (!sameBytes(foldPeaks(frontier.peaks), root)) {
    return refused("root_mismatch", "the tiles' hashes do not add up to the checkpoint's root");
  }
  const pending = await fetchUnfinished(fetch, size, "entries", signal);
  if (!pending.ok) return pending;
  const mismatch = pending.value.findIndex((entry, i) => {
    const hash = rows[0]?.[i];
    return hash === undefined || !sameBytes(leafHash(entry), hash);
  });
  if (mismatch !== -1) {
    const index = size - pending.value.length + mismatch;
    return refused("tile_mismatch", `entry \`${index}\` is not the one that was hashed`);
  }
  return ok({ frontier, pending: pending.value });
}

async function fetchUnfinished(
  fetch: FetchTile,
  size: number,
  level: number | "entries",
  signal: AbortSignal | undefined,
): Promise<Result<Uint8Array[], TileRefusal>> {
  const hashes = level === "entries" ? size : hashesAtLevel(size, level);
  const ref = tileOf(size, level, Math.floor(hashes / tileWidth));
  if (ref === undefined) return ok([]);
  return await (level === "entries" ? fetchEntries : fetchHashes)(fetch, ref, signal);
}
