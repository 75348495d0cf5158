/**
 * Recordings as files below `settings.recordings.directory`: a folder a month, a file a session, its pieces one behind the other, each with its
 * length and index in front. Ciphertext, but for who, where and when in the head. How much of a file counts is in the database.
 */
import { mkdir, open, rm, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { SessionId } from "@cardea/core/contract/ids";

/** Length and index, four bytes each, least significant first. */
const prefixBytes = 8;
/** Read at once. */
const readBytes = 1024 * 1024;
const maxPieceBytes = 3 * 1024 * 1024;

export interface StoredPiece {
  readonly index: number;
  readonly bytes: Uint8Array;
}

export interface FilePiece extends StoredPiece {
  /** Where the next one begins. */
  readonly end: number;
}

export function recordingPath(directory: string, month: string, session: SessionId): string {
  return join(directory, month, `${session}.recording`);
}

/** Writes pieces at this place of the file, over whatever a crash left there, and resolves with where they end once they are on the disk. */
export async function writePieces(path: string, at: number, pieces: readonly StoredPiece[]): Promise<number> {
  const bytes = Buffer.concat(
    pieces.flatMap(({ index, bytes: piece }) => {
      const prefix = Buffer.alloc(prefixBytes);
      prefix.writeUInt32LE(piece.length, 0);
      prefix.writeUInt32LE(index, 4);
      return [prefix, piece];
    }),
  );
  const file = await openForWriting(path);
  try {
    for (let written = 0; written < bytes.length;) {
      const { bytesWritten } = await file.write(bytes, written, bytes.length - written, at + written);
      written += bytesWritten;
    }
    await file.datasync();
  } finally {
    await file.close();
  }
  return at + bytes.length;
}

async function openForWriting(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = await open(path, "a+", 0o600);
  await file.close();
  // Names are on the disk before what they hold is told of as stored.
  for (const directory of [folder, dirname(folder)]) {
    const handle = await open(directory, "r");
    await handle.sync();
    await handle.close();
  }
  return await open(path, "r+");
}

/** Reads a recording's pieces, in order. */
export class RecordingFile {
  readonly #file: FileHandle;
  readonly #size: number;

  private constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  /** @param size how much of it counts */
  static async open(path: string, size: number): Promise<RecordingFile> {
    return new RecordingFile(await open(path, "r"), size);
  }

  /** From this place on; stops where it ends, or where what follows is no piece. */
  async *pieces(from: number): AsyncGenerator<FilePiece> {
    let at = from;
    let window = Buffer.alloc(0);
    let windowAt = from;
    const have = async (length: number): Promise<boolean> => {
      if (at + length > this.#size) return false;
      if (at - windowAt + length <= window.length) return true;
      const wanted = Math.min(Math.max(length, readBytes), this.#size - at);
      const bytes = Buffer.allocUnsafe(wanted);
      const { bytesRead } = await this.#file.read(bytes, 0, wanted, at);
      window = bytes.subarray(0, bytesRead);
      windowAt = at;
      return bytesRead >= length;
    };
    while (await have(prefixBytes)) {
      const prefix = window.subarray(at - windowAt);
      const length = prefix.readUInt32LE(0);
      const index = prefix.readUInt32LE(4);
      if (length > maxPieceBytes || !(await have(prefixBytes + length))) return;
      const begin = at - windowAt + prefixBytes;
      at += prefixBytes + length;
      yield { index, bytes: window.subarray(begin, begin + length), end: at };
    }
  }

  /** Changes with whatever is done to the file, and nobody can set it back. */
  async mark(): Promise<string> {
    const { ino, size, ctimeMs } = await this.#file.stat();
    return `${String(ino)} ${String(size)} ${String(ctimeMs)}`;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

export async function removeRecordingFile(path: string): Promise<void> {
  await rm(path, { force: true });
}
