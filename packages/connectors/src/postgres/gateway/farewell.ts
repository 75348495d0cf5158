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

/**
 * Sends FATAL where that is still possible and closes: our side at once, the whole connection when the client has closed too, after
 * `waitMs` at the latest. What the client still sends is thrown away unread.
 */
export function sayFarewell(stream: Duplex, words: Words | undefined, waitMs: number): void {
  if (stream.destroyed) return;
  if (words === undefined || !stream.writable) {
    stream.destroy();
    return;
  }
  const timer = setTimeout(() => stream.destroy(), waitMs);
  stream.once("close", () => clearTimeout(timer));
  stream.once("end", () => stream.destroy());
  stream.end(errorResponse("FATAL", words));
  stream.resume();
}
