import type { FetchTile } from "@cardea/core/log/tile-source";
import { parseTilePath } from "@cardea/core/log/tiles";
import type { Control } from "../control.ts";
import { maybeOneTile } from "../store/log.ts";

/** A tile by its path below the log's prefix, such as `tile/0/000.p/17`; `undefined` where there is none. Safe on untrusted text. */
export async function tile(control: Pick<Control, "db">, path: string): Promise<Uint8Array | undefined> {
  const ref = parseTilePath(path);
  return ref === undefined ? undefined : await maybeOneTile(control.db, ref);
}

/** Reads tiles straight from the database. */
export function tileFetcher(db: Control["db"]): FetchTile {
  return (path) => tile({ db }, path);
}
