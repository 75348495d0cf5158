/** Ending a connection with the protocol's last word, before or after a session. */
import type { Duplex } from "node:stream";
import { errorResponse, type Words } from "./messages.ts";

/** Thrown while signing in, to end the connection with these words. */
export class Farewell extends Error {
  override readonly name = "Farewell";
  readonly words: Words;

  constructor(words: Words) {
    super(words.message);
    this.words = words;
  }
}

/** How long somebody may take to read what was sent before the words, whatever comes of the session meanwhile: it is over. */
const slowReaderMs = 10_000;

/**
 * Sends FATAL where that is still possible and closes: our side at once, the whole connection when the client has closed too, `waitMs` after
 * the last byte has left at the latest. What the client still sends is thrown away unread. What was passed on before goes first, since it
 * cannot be taken back in the middle of a message; nothing more is added to it.
 */
export function sayFarewell(stream: Duplex, words: Words | undefined, waitMs: number): void {
  if (stream.destroyed) return;
  if (words === undefined || !stream.writable) {
    stream.destroy();
    return;
  }
  let timer = setTimeout(() => stream.destroy(), slowReaderMs);
  stream.once("finish", () => {
    clearTimeout(timer);
    timer = setTimeout(() => stream.destroy(), waitMs);
  });
  stream.once("close", () => clearTimeout(timer));
  stream.once("end", () => stream.destroy());
  stream.end(errorResponse("FATAL", words));
  stream.resume();
}

/**
 * Lets the rest of a message through whose beginning the client already has, because words of ours would be read as part of it: so many
 * bytes and no more, within `waitMs`. Afterwards, once, `then` hears whether it is whole.
 */
export class RestOfMessage {
  readonly #to: Duplex;
  readonly #then: (whole: boolean) => void;
  readonly #timer: NodeJS.Timeout;
  #left: number;
  #over = false;

  constructor(left: number, to: Duplex, waitMs: number, then: (whole: boolean) => void) {
    this.#left = left;
    this.#to = to;
    this.#then = then;
    this.#timer = setTimeout(() => this.giveUp(), waitMs);
  }

  /** Takes what comes, however slowly the client reads: it is little. */
  receive(bytes: Buffer): void {
    if (this.#over) return;
    const part = bytes.subarray(0, this.#left);
    this.#left -= part.length;
    this.#to.write(part);
    if (this.#left === 0) this.#end(true);
  }

  giveUp(): void {
    this.#end(false);
  }

  #end(whole: boolean): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#then(whole);
  }
}
