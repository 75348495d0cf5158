import { WebSocket } from "ws";
import { CardeaError } from "@cardea/core/contract/errors";
import { maxLinkMessageBytes } from "@cardea/core/wire/link";
import { Frames } from "./frames.ts";

const dialMs = 10_000;
const loopback = /^(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])$/;

/** The address of a link. Outside this machine it is encrypted. @throws CardeaError `setting_invalid` */
export function linkAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:") url.protocol = "ws:";
  if (url?.protocol === "https:") url.protocol = "wss:";
  if (url === undefined || (url.protocol !== "ws:" && url.protocol !== "wss:"))
    throw new CardeaError("setting_invalid", `\`${text}\` is not the address of a control plane`);
  if (url.protocol === "ws:" && !loopback.test(url.hostname)) {
    throw new CardeaError(
      "setting_invalid",
      `the link to \`${url.host}\` must be encrypted: use \`wss://\`, only this machine is reached by \`ws://\``,
    );
  }
  if (url.pathname === "/") url.pathname = "/v1/link";
  return url;
}

export interface Dialled {
  readonly socket: WebSocket;
  readonly frames: Frames;
}

/** An open socket, with its frames from the first on. @throws CardeaError `unreachable` */
export function dial(address: URL, signal: AbortSignal): Promise<Dialled> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address, {
      handshakeTimeout: dialMs,
      maxPayload: maxLinkMessageBytes,
      perMessageDeflate: false,
    });
    const frames = new Frames(socket);
    const fail = (cause?: unknown): void => {
      signal.removeEventListener("abort", abort);
      socket.terminate();
      reject(new CardeaError("unreachable", `the control plane at \`${address.host}\` cannot be reached`, { cause }));
    };
    const abort = (): void => fail();
    // Stays: a socket that breaks later says so here too, and its close event does the rest.
    socket.on("error", fail);
    socket.once("open", () => {
      signal.removeEventListener("abort", abort);
      resolve({ socket, frames });
    });
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}
