/**
 * Pieces of memory that sessions record into: lent while there is something to record, so that an idle session has none. Most sessions do little
 * at a time, so the first piece is a small one.
 */

export const chunkBytes = 64 * 1024;
const smallBytes = 4 * 1024;

/** As many of each size are kept for the next who asks. */
const maxKept = 64;

export class Chunks {
  readonly #large: Buffer[] = [];
  readonly #small: Buffer[] = [];

  /** A chunk for so many bytes at least: a small one where that does. */
  takeFirst(most: number): Buffer {
    return most > smallBytes ? this.take() : (this.#small.pop() ?? Buffer.allocUnsafeSlow(smallBytes));
  }

  take(): Buffer {
    return this.#large.pop() ?? Buffer.allocUnsafeSlow(chunkBytes);
  }

  giveBack(chunks: readonly Buffer[]): void {
    for (const chunk of chunks) {
      const kept = chunk.length === chunkBytes ? this.#large : this.#small;
      if (kept.length < maxKept) kept.push(chunk);
    }
  }
}
