/**
 * The log as files below `settings.logDirectory`, laid out as C2SP's tlog-tiles: readable by anybody's tools, and the memory outside the
 * database that the guard starts from. Written after the commit, by the audit writer alone, so files are never ahead of the database.
 */
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { changedTiles, parseTilePath, tilePath, tileWidth, type Tile } from "@cardea/core/log/tiles";
import type { LogHead } from "../store/log.ts";
import { checkpointFile } from "./guard.ts";
import { tilePlace } from "./tile.ts";

/** So long entries are gathered: files are written beside the happy path, and not once for each of a burst's commits. */
const gatherMs = 100;

export class LogFiles {
  readonly #directory: string;
  readonly #log: Logger;
  readonly #madeDirectories = new Set<string>();
  /** Not yet written, the newest width of each. */
  readonly #tiles = new Map<string, Tile>();
  #head: LogHead | undefined;
  #writing: Promise<void> | undefined;
  readonly #hurry = new AbortController();

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.#log = log;
  }

  /** Writes what a directory of size `from` lacks: after a crash between commit and files, or in a new directory. */
  async catchUp(from: number, head: LogHead, read: (path: string) => Promise<Uint8Array | undefined>): Promise<void> {
    for (const ref of changedTiles(from, head.size)) {
      const path = tilePath(ref);
      const bytes = await read(path);
      // What is missing in the database is for `cardea audit verify` to find; here it must not stop the log.
      if (bytes === undefined) this.#log.error({ path }, "a tile of the log is missing in the database");
      else await this.#writeTile({ path, bytes });
    }
    await this.#write(checkpointFile, new TextEncoder().encode(head.checkpoint));
  }

  /** Publishes soon, in the background; what arrives meanwhile is gathered, and only the newest head is written. */
  publish(tiles: readonly Tile[], head: LogHead): void {
    for (const tile of tiles) this.#tiles.set(tilePlace(tile.path), tile);
    this.#head = head;
    this.#start();
  }

  /** Writes at once what was published so far. */
  async flush(): Promise<void> {
    this.#hurry.abort();
    while (this.#writing !== undefined) await this.#writing;
  }

  #start(): void {
    this.#writing ??= this.#drainSoon().then((written) => {
      this.#writing = undefined;
      if (written && this.#head !== undefined) this.#start();
    });
  }

  async #drainSoon(): Promise<boolean> {
    await sleep(gatherMs, undefined, { signal: this.#hurry.signal }).catch(() => undefined);
    return await this.#drain();
  }

  /** Whether everything was written. */
  async #drain(): Promise<boolean> {
    while (this.#head !== undefined) {
      const tiles = [...this.#tiles.values()];
      const head = this.#head;
      this.#tiles.clear();
      this.#head = undefined;
      try {
        for (const tile of tiles) await this.#writeTile(tile);
        await this.#write(checkpointFile, new TextEncoder().encode(head.checkpoint));
      } catch (error) {
        // Kept for the next time, unless something newer has come.
        for (const tile of tiles)
          if (!this.#tiles.has(tilePlace(tile.path))) this.#tiles.set(tilePlace(tile.path), tile);
        this.#head ??= head;
        this.#log.error({ err: error }, "the log's files cannot be written; they are tried again with the next entry");
        return false;
      }
    }
    return true;
  }

  async #writeTile({ path, bytes }: Tile): Promise<void> {
    await this.#write(path, bytes);
    // A full tile holds everything that its narrower predecessors held.
    if (parseTilePath(path)?.width === tileWidth)
      await rm(join(this.#directory, `${path}.p`), { recursive: true, force: true });
  }

  /** Whole or not at all, also after a power cut: readers and the guard never see half a file. */
  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const target = join(this.#directory, path);
    const temporary = `${target}.new`;
    const directory = dirname(target);
    if (!this.#madeDirectories.has(directory)) {
      await mkdir(directory, { recursive: true });
      this.#madeDirectories.add(directory);
    }
    const file = await open(temporary, "w", 0o644);
    try {
      await file.writeFile(bytes);
      // Tiles can be written again from the database; the head is the one thing that must not come back empty.
      if (path === checkpointFile) await file.datasync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  }
}
