/**
 * Reading a connection a few bytes at a time, before it is relayed: exactly as many as asked for, with everything else left in place, so
 * that TLS or the relay can go on from there. Holds no more than the socket's own read buffer and what was asked for.
 */
import type { Duplex } from "node:stream";

/** The other side closed, or the connection broke, before the bytes came. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
}

export class ByteReader {
  readonly #stream: Duplex;
  #held: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #over = false;
  readonly #onReadable = (): void => this.#wake?.();
  readonly #onOver = (): void => {
    this.#over = true;
    this.#wake?.();
  };

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on("readable", this.#onReadable);
    for (const event of ["end", "close", "error"]) stream.on(event, this.#onOver);
  }

  /** Takes `count` bytes. @throws ConnectionLost */
  async take(count: number): Promise<Buffer> {
    const bytes = await this.peek(count);
    this.#held = this.#held.subarray(count);
    return bytes;
  }

  /** Looks at the next `count` bytes without taking them. @throws ConnectionLost */
  async peek(count: number): Promise<Buffer> {
    for (;;) {
      this.#pull(count);
      if (this.#held.length >= count) return this.#held.subarray(0, count);
      // A socket destroyed from our side emits nothing more that could be waited for.
      if (this.#over || this.#stream.destroyed) throw new ConnectionLost("the connection ended");
      await new Promise<void>((wake) => (this.#wake = wake));
      this.#wake = undefined;
    }
  }

  /** Whether bytes are here already that nobody has taken. */
  get pending(): boolean {
    this.#pull(1);
    return this.#held.length > 0;
  }

  /** Stops reading and answers what was read and not taken; the stream is then the caller's again. */
  release(): Buffer {
    this.#stream.off("readable", this.#onReadable);
    for (const event of ["end", "close", "error"]) this.#stream.off(event, this.#onOver);
    const rest = this.#held;
    this.#held = Buffer.alloc(0);
    return rest;
  }

  #pull(count: number): void {
    while (this.#held.length < count) {
      const next: unknown = this.#stream.read();
      if (!Buffer.isBuffer(next)) return;
      this.#held = this.#held.length === 0 ? next : Buffer.concat([this.#held, next]);
    }
  }
}
