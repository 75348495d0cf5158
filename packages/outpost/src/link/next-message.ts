import type { RawData, WebSocket } from "ws";
import { CardeaError } from "@cardea/core/contract/errors";

/** A frame's text; `undefined` for a binary one. */
export function textOf(data: RawData, isBinary: boolean): string | undefined {
  if (isBinary) return undefined;
  if (Array.isArray(data)) return Buffer.concat(data).toString("utf8");
  return data instanceof ArrayBuffer ? Buffer.from(data).toString("utf8") : data.toString("utf8");
}

/** The next text frame. @throws CardeaError `link_refused` where the other side closes or says nothing in time, `link_message_invalid` for a binary frame */
export function nextMessage(socket: WebSocket, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const onMessage = (data: RawData, isBinary: boolean): void => {
      const text = textOf(data, isBinary);
      settle(text ?? new CardeaError("link_message_invalid", "the link carries text frames only"));
    };
    const onEnd = (): void => settle(new CardeaError("link_refused", "the control plane closed the link or did not answer in time"));
    const settle = (outcome: string | CardeaError): void => {
      socket.off("message", onMessage);
      socket.off("close", onEnd);
      signal.removeEventListener("abort", onEnd);
      if (typeof outcome === "string") resolve(outcome);
      else reject(outcome);
    };
    socket.on("message", onMessage);
    socket.on("close", onEnd);
    signal.addEventListener("abort", onEnd);
    if (signal.aborted || socket.readyState >= socket.CLOSING) onEnd();
  });
}
