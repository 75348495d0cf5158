/** The growing edge of a tree, shared by the writer, who stores the tiles it completes, and the verifier, who compares them. */
import { foldPeaks, hashSize, pushPeak, treeRoot } from "./merkle.ts";
import { hashesAtLevel, tileHeight, tileWidth, type TileRef } from "./tiles.ts";

/**
 * All of a tree that appending needs: at most 53 peaks and 255 hashes a tile level. A value: nothing in it is
 * ever overwritten, so a writer whose commit failed simply keeps the old one.
 */
export interface FrontierState {
  readonly size: number;
  /** The roots of the tree's perfect subtrees, largest first. */
  readonly peaks: readonly Uint8Array[];
  /** For each tile level, lowest first, the hashes of its unfinished tile. */
  readonly rows: readonly (readonly Uint8Array[])[];
}

/** A hash tile and where it belongs. */
export interface HashTile {
  readonly ref: TileRef;
  readonly bytes: Uint8Array;
}

/** The edge of a tree without leaves. */
export const emptyFrontier: FrontierState = { size: 0, peaks: [], rows: [] };

/**
 * The edge of a tree from the hashes of its unfinished tiles. It is authentic where `foldPeaks(peaks)` is the root:
 * every one of those hashes is below a peak.
 */
export function frontierOf(size: number, rows: FrontierState["rows"]): FrontierState {
  const peaks: Uint8Array[] = [];
  // Each one bit of a row's length is a perfect subtree of it; higher levels hold the larger ones.
  for (const row of rows.toReversed()) {
    let start = 0;
    for (let count = tileWidth / 2; count >= 1; count /= 2) {
      if (Math.floor(row.length / count) % 2 === 0) continue;
      peaks.push(treeRoot(row, { start, end: start + count }));
      start += count;
    }
  }
  return { size, peaks, rows };
}

/** Adds leaves to the edge of a tree. Works on copies of the state that it is given. */
export class Frontier {
  readonly #peaks: Uint8Array[];
  readonly #rows: Uint8Array[][];
  readonly #changed = new Set<number>();
  #completed: HashTile[] = [];
  #size: number;

  constructor(state: FrontierState) {
    this.#size = state.size;
    this.#peaks = [...state.peaks];
    this.#rows = state.rows.map((row) => [...row]);
  }

  get size(): number {
    return this.#size;
  }

  /** Appends one leaf: one node hash on average, and no more than the tree is high. */
  add(leafHash: Uint8Array): void {
    this.#extend(0, leafHash);
    pushPeak(this.#peaks, this.#size, leafHash, (level, hash) => {
      if (level % tileHeight === 0) this.#extend(level / tileHeight, hash);
    });
    this.#size++;
  }

  /** The root over all leaves so far. */
  root(): Uint8Array {
    return foldPeaks(this.#peaks);
  }

  /** The full tiles completed since the last call, in the order of completion. */
  takeCompleted(): HashTile[] {
    const completed = this.#completed;
    this.#completed = [];
    return completed;
  }

  /** The unfinished tiles that grew since construction, lowest level first. */
  changedPartials(): HashTile[] {
    return [...this.#changed]
      .sort((a, b) => a - b)
      .flatMap((level) => {
        const row = this.#rows[level] ?? [];
        const index = Math.floor(hashesAtLevel(this.#size, level) / tileWidth);
        return row.length === 0 ? [] : [hashTile(level, index, row)];
      });
  }

  state(): FrontierState {
    return { size: this.#size, peaks: [...this.#peaks], rows: this.#rows.map((row) => [...row]) };
  }

  #extend(level: number, hash: Uint8Array): void {
    const row = (this.#rows[level] ??= []);
    this.#changed.add(level);
    row.push(hash);
    if (row.length < tileWidth) return;
    const index = Math.floor(this.#size / tileWidth ** (level + 1));
    this.#completed.push(hashTile(level, index, row));
    row.length = 0;
  }
}

function hashTile(level: number, index: number, row: readonly Uint8Array[]): HashTile {
  const bytes = new Uint8Array(row.length * hashSize);
  row.forEach((hash, i) => {
    bytes.set(hash, i * hashSize);
  });
  return { ref: { level, index, width: row.length }, bytes };
}
