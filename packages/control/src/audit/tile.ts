import type { FetchTile } from "@cardea/core/log/tile-source";
import { parseTilePath, type Tile } from "@cardea/core/log/tiles";
import type { Control } from "../control.ts";
import { maybeOneTile } from "../store/log.ts";
import { Recent } from "../store/recent.ts";

/** A tile by its path below the log's prefix, such as `tile/0/000.p/17`; `undefined` where there is none. Safe on untrusted text. */
export async function tile(control: Pick<Control, "db">, path: string): Promise<Uint8Array | undefined> {
  const ref = parseTilePath(path);
  return ref === undefined ? undefined : await maybeOneTile(control.db, ref);
}

/**
 * Reads tiles straight from the database, and hash tiles that this process wrote last from memory: the proof of what was just logged, which a
 * key waits for, then costs no query.
 */
export function tileFetcher(control: Pick<Control, "db">): FetchTile {
  return async (path) => {
    const last = written.get(control.db)?.get(tilePlace(path));
    return last?.path === path ? last.bytes : await tile(control, path);
  };
}

/** The newest tile of each place, for the places written last: hash tiles only, at most 8 KiB each. */
const written = new WeakMap<Control["db"], Recent<string, Tile>>();
const maxPlaces = 16;

/** Remembers hash tiles once they are committed. */
export function rememberTiles({ db }: Pick<Control, "db">, tiles: readonly Tile[]): void {
  let places = written.get(db);
  if (places === undefined) {
    places = new Recent(maxPlaces);
    written.set(db, places);
  }
  for (const one of tiles) if (!one.path.startsWith("tile/entries/")) places.set(tilePlace(one.path), one);
}

/** A tile's path without its width: what its wider successors share. */
export function tilePlace(path: string): string {
  return path.replace(/\.p\/[0-9]+$/, "");
}
