/**
 * The beginning of a message whose rest has not come yet. Takes the end of what was received, gives it back joined with what comes next
 * as soon as the message is whole (or as much of it as is wanted). Copies each byte once, however small the pieces; never holds more
 * than what its user lets it wait for.
 */
import { headerSize } from "./messages.ts";

export class PartialMessage {
  #bytes: Buffer | undefined;
  #length = 0;
  #wanted = 0;

  /** Bytes held. */
  get length(): number {
    return this.#length;
  }

  /** Holds the bytes, which are copied, until `wanted` bytes are there: by default the whole of the first message. */
  keep(rest: Buffer, wanted = 0): void {
    if (rest.length === 0) return;
    this.#wanted = wanted;
    this.#length = 0;
    this.#bytes = undefined;
    this.#append(rest);
  }

  /** Everything held and received, or `undefined` while that is not enough. */
  join(received: Buffer): Buffer | undefined {
    if (this.#length === 0) return received;
    this.#append(received);
    if (this.#length < this.#needed()) return undefined;
    return this.take();
  }

  /** Everything held, enough or not. */
  take(): Buffer {
    const held = this.#bytes?.subarray(0, this.#length) ?? Buffer.alloc(0);
    this.#bytes = undefined;
    this.#length = 0;
    return held;
  }

  #needed(): number {
    if (this.#wanted > 0) return this.#wanted;
    return this.#bytes === undefined || this.#length < headerSize ? headerSize : 1 + this.#bytes.readUInt32BE(1);
  }

  #append(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (this.#bytes === undefined || this.#bytes.length < length) {
      const grown = Buffer.allocUnsafe(Math.max(256, length, this.#length * 2));
      this.#bytes?.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    piece.copy(this.#bytes, this.#length);
    this.#length = length;
  }
}
