/** One file of the spool: written from its beginning on, once, and read any number of times. For its owner alone. */
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { frameAt, frameLengthAt, prefixBytes, type Frame } from "./frames.ts";

/** Read at once; a frame that is longer is read by itself. */
const readBytes = 256 * 1024;

/** The names of segments sort as they were made. */
export const segmentName = /^([0-9]{12})\.spool$/;

function segmentPath(directory: string, number: number): string {
  return join(directory, `${String(number).padStart(12, "0")}.spool`);
}

/** A frame of a segment, and where the next one begins. */
export interface Found {
  readonly frame: Frame;
  readonly at: number;
  readonly end: number;
}

export class Segment {
  readonly number: number;
  readonly path: string;
  readonly #file: FileHandle;
  #size: number;

  private constructor(number: number, path: string, file: FileHandle, size: number) {
    this.number = number;
    this.path = path;
    this.#file = file;
    this.#size = size;
  }

  /** A new, empty one. */
  static async make(directory: string, number: number): Promise<Segment> {
    const path = segmentPath(directory, number);
    return new Segment(number, path, await open(path, "wx+", 0o600), 0);
  }

  /** One of an earlier process, as far as it is whole: what is torn off at its end was never told of as written. */
  static async reopen(directory: string, number: number, onFrame: (found: Found) => void): Promise<Segment> {
    const path = segmentPath(directory, number);
    const file = await open(path, "r+");
    const segment = new Segment(number, path, file, (await file.stat()).size);
    let at = 0;
    for (;;) {
      const found = await segment.read(at);
      if (found.length === 0) break;
      for (const one of found) {
        onFrame(one);
        at = one.end;
      }
    }
    if (at < segment.#size) await file.truncate(at);
    segment.#size = at;
    return segment;
  }

  /** Bytes that are on the disk. */
  get size(): number {
    return this.#size;
  }

  /** Writes behind what is there, and resolves once that is on the disk. Where it fails, what is there stays as it was. */
  async append(bytes: readonly Buffer[]): Promise<void> {
    const length = bytes.reduce((sum, { length: one }) => sum + one, 0);
    try {
      const { bytesWritten } = await this.#file.writev(bytes, this.#size);
      // A disk that fills up takes a part.
      if (bytesWritten < length)
        await this.#file.write(Buffer.concat(bytes), bytesWritten, undefined, this.#size + bytesWritten);
      await this.#file.datasync();
    } catch (error) {
      await this.#file.truncate(this.#size).catch(() => undefined);
      throw error;
    }
    this.#size += length;
  }

  /** Some frames from this place on, in order; none at the end. */
  async read(at: number): Promise<Found[]> {
    const found: Found[] = [];
    let bytes = await this.#bytes(at, readBytes);
    const length = frameLengthAt(bytes, 0);
    if (length !== undefined && length > bytes.length) bytes = await this.#bytes(at, length);
    for (let from = 0; bytes.length - from >= prefixBytes;) {
      const one = frameAt(bytes, from);
      if (one === undefined) break;
      found.push({ frame: one.frame, at: at + from, end: at + one.end });
      from = one.end;
    }
    return found;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #bytes(at: number, most: number): Promise<Buffer> {
    const length = Math.min(most, this.#size - at);
    if (length <= 0) return Buffer.alloc(0);
    const bytes = Buffer.allocUnsafe(length);
    const { bytesRead } = await this.#file.read(bytes, 0, length, at);
    return bytes.subarray(0, bytesRead);
  }
}
