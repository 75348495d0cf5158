import type { Chunks } from "./chunks.ts";

/** A length of four bytes stands before every text. */
const lengthBytes = 4;
/** So many are copied one by one in the time that the runtime takes to begin. */
const fewBytes = 40;

/**
 * One strand of a piece while it is written. A hot path: numbers and texts go straight into lent memory, and whoever writes a record asks for
 * room for all of it first, so that no record lies in two chunks.
 */
export class StrandWriter {
  readonly #chunks: Chunks;
  readonly #full: Buffer[] = [];
  readonly #lengths: number[] = [];
  #chunk: Buffer | undefined;
  #at = 0;
  #before = 0;

  constructor(chunks: Chunks) {
    this.#chunks = chunks;
  }

  get bytes(): number {
    return this.#before + this.#at;
  }

  /** @param most bytes of the record, at most a chunk */
  room(most: number): void {
    if (this.#chunk === undefined) {
      this.#chunk = this.#chunks.takeFirst(most);
      return;
    }
    if (this.#at + most <= this.#chunk.length) return;
    this.#full.push(this.#chunk);
    this.#lengths.push(this.#at);
    this.#before += this.#at;
    this.#at = 0;
    this.#chunk = this.#chunks.take();
  }

  byte(value: number): void {
    const chunk = this.#chunk;
    if (chunk !== undefined) chunk[this.#at++] = value;
  }

  /** LEB128. */
  number(value: number): void {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    let rest = value;
    let at = this.#at;
    while (rest >= 0x1000_0000) {
      chunk[at++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      chunk[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    chunk[at++] = rest;
    this.#at = at;
  }

  text(text: string): void {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    // Asking the runtime to write nothing takes 100 ns.
    const length = text === "" ? 0 : chunk.write(text, this.#at + lengthBytes, "utf8");
    this.#length(chunk, length);
    this.#at += lengthBytes + length;
  }

  data(bytes: Uint8Array): void {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    this.#length(chunk, bytes.length);
    const at = this.#at + lengthBytes;
    if (bytes.length > fewBytes) chunk.set(bytes, at);
    else for (let i = 0; i < bytes.length; i++) chunk[at + i] = bytes[i] ?? 0;
    this.#at = at + bytes.length;
  }

  /** All of it, as one; a copy. The memory goes back. */
  take(): Buffer {
    const { bytes } = this;
    const out = Buffer.allocUnsafe(bytes);
    let at = 0;
    this.#full.forEach((chunk, index) => {
      at += chunk.copy(out, at, 0, this.#lengths[index]);
    });
    if (this.#chunk !== undefined) {
      this.#chunk.copy(out, at, 0, this.#at);
      this.#full.push(this.#chunk);
    }
    this.drop();
    return out;
  }

  /** Gives the memory back. */
  drop(): void {
    this.#chunks.giveBack(this.#full.splice(0));
    this.#lengths.length = 0;
    this.#chunk = undefined;
    this.#at = 0;
    this.#before = 0;
  }

  #length(chunk: Buffer, length: number): void {
    const at = this.#at;
    chunk[at] = length & 0xff;
    chunk[at + 1] = (length >>> 8) & 0xff;
    chunk[at + 2] = (length >>> 16) & 0xff;
    chunk[at + 3] = length >>> 24;
  }
}
