/** A log as files, laid out as C2SP's tlog-tiles: `checkpoint` and `tile/…`. What control planes publish, and what `cardea audit export` keeps. */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import { parseTilePath } from "@cardea/core/log/tiles";
import type { LogSource } from "./log-source.ts";

export class LogDirectory implements LogSource {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** @throws CardeaError `not_found` where the folder holds no log */
  async checkpoint(): Promise<string> {
    const bytes = await this.#read("checkpoint");
    if (bytes === undefined)
      throw new CardeaError("not_found", `\`${this.#directory}\` holds no log: there is no file \`checkpoint\` in it`);
    return new TextDecoder().decode(bytes);
  }

  tile = (path: string): Promise<Uint8Array | undefined> => this.#read(checkedPath(path));

  async writeTile(path: string, bytes: Uint8Array): Promise<void> {
    await this.#write(checkedPath(path), bytes);
  }

  /** Last of all, so that whoever reads the folder finds every tile of its checkpoint. */
  async writeCheckpoint(note: string): Promise<void> {
    await this.#write("checkpoint", new TextEncoder().encode(note));
  }

  async #read(path: string): Promise<Uint8Array | undefined> {
    try {
      return await readFile(join(this.#directory, path));
    } catch (cause) {
      if (cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENOTDIR"))
        return undefined;
      throw new CardeaError("data_directory_invalid", `\`${join(this.#directory, path)}\` cannot be read`, { cause });
    }
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const target = join(this.#directory, path);
    try {
      await mkdir(dirname(target), { recursive: true });
      const file = await open(`${target}.new`, "w", 0o644);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(`${target}.new`, target);
    } catch (cause) {
      throw new CardeaError("data_directory_invalid", `\`${target}\` cannot be written`, { cause });
    }
  }
}

/** Only names that the standard gives; nothing that leads out of the folder. */
function checkedPath(path: string): string {
  if (parseTilePath(path) === undefined) throw new CardeaError("invalid_request", `\`${path}\` is not a tile's path`);
  return path;
}
