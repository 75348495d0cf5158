/**
 * The frames of a socket from its very first on. A frame may arrive in the same packet as the upgrade's answer, before anybody had a chance to
 * listen, so they are kept here until somebody asks: one by one during the handshake, then all to one listener.
 */
import type { RawData, WebSocket } from "ws";
import { CardeaError } from "@cardea/core/contract/errors";

/** `undefined` stands for a binary frame, which the link does not have. */
export type Frame = string | undefined;

export class Frames {
  readonly #socket: WebSocket;
  #kept: Frame[] = [];
  #listener: ((frame: Frame) => void) | undefined;

  /** To be made in the same turn as the socket. */
  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data, isBinary) => {
      const frame = textOf(data, isBinary);
      if (this.#listener === undefined) this.#kept.push(frame);
      else this.#listener(frame);
    });
  }

  /** The next text frame. @throws CardeaError `link_refused` where the other side closes or says nothing in time, `link_message_invalid` for a binary frame */
  async next(signal: AbortSignal): Promise<string> {
    if (this.#kept.length === 0) await this.#arrival(signal);
    if (this.#kept.length === 0)
      throw new CardeaError("link_refused", "the other side of the link closed it or did not answer in time");
    const frame = this.#kept.shift();
    if (frame === undefined) throw new CardeaError("link_message_invalid", "the link carries text frames only");
    return frame;
  }

  /** Hands over what is kept and everything that follows. */
  listen(listener: (frame: Frame) => void): void {
    this.#listener = listener;
    const kept = this.#kept;
    this.#kept = [];
    for (const frame of kept) listener(frame);
  }

  #arrival(signal: AbortSignal): Promise<void> {
    const socket = this.#socket;
    return new Promise((resolve) => {
      const done = (): void => {
        socket.off("message", done);
        socket.off("close", done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      socket.on("message", done);
      socket.on("close", done);
      signal.addEventListener("abort", done);
      if (signal.aborted || socket.readyState >= socket.CLOSING) done();
    });
  }
}

function textOf(data: RawData, isBinary: boolean): Frame {
  if (isBinary) return undefined;
  if (Array.isArray(data)) return Buffer.concat(data).toString("utf8");
  return data instanceof ArrayBuffer ? Buffer.from(data).toString("utf8") : data.toString("utf8");
}
