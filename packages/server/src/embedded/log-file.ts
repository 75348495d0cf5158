/**
 * A log that a server writes by itself through a descriptor of its own, so that it goes on when we die. Held below a
 * cap by copying it aside and cutting it: the server appends, so it goes on at the new beginning. Lines written between
 * the copy and the cut are lost; a rename would leave the server writing to the old file.
 */
import { copyFile, mkdir, open, stat, truncate, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";

export class LogFile {
  readonly path: string;
  readonly #maxBytes: number;

  /** @param maxBytes of the current file; the one before, at `path.1`, may be as large again */
  constructor(path: string, maxBytes: number) {
    this.path = path;
    this.#maxBytes = maxBytes;
  }

  /** A descriptor to append to, 0600; the caller closes it. */
  async open(): Promise<FileHandle> {
    await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    return open(this.path, "a", 0o600);
  }

  /** Cuts the file when it is above the cap. */
  async rotate(): Promise<void> {
    if ((await this.size()) <= this.#maxBytes) return;
    await copyFile(this.path, `${this.path}.1`);
    await truncate(this.path, 0);
  }

  async size(): Promise<number> {
    return stat(this.path).then(
      (found) => found.size,
      () => 0,
    );
  }

  /** The last lines, at most `count` and 8 KiB, of what was written after `fromByte`. */
  async lastLines(count: number, fromByte = 0): Promise<string[]> {
    const size = await this.size();
    const start = Math.max(size - 8_192, fromByte > size ? 0 : fromByte);
    const file = await open(this.path, "r").catch(() => undefined);
    if (file === undefined) return [];
    try {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(size - start), position: start });
      const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
      return lines.filter((line) => line !== "").slice(-count);
    } finally {
      await file.close();
    }
  }
}
