/**
 * The control plane's end of the link. Outposts dial in; `http` hands their upgrade requests over. Each proves its enrolled key, and then is
 * sent state and tasks and tells receipts and events. Nothing here decides: it carries what use cases left in the tables, and applies what
 * outposts say through `grants/outcomes.ts`.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import type { Enrolment } from "@cardea/core/wire/enrolment";
import type { OutpostId } from "@cardea/core/contract/ids";
import { maxLinkMessageBytes } from "@cardea/core/wire/link";
import { toTime } from "@cardea/core/documents/primitives";
import { toHex } from "@cardea/core/lib/hex";
import type { Control } from "../control.ts";
import { record } from "../audit/record.ts";
import { nameOutpostKey } from "../people/change-roster.ts";
import { leaveConnection, takeConnection } from "../store/outposts.ts";
import { forgetOldResults } from "../store/runs.ts";
import { forgetOldTasks } from "../store/tasks.ts";
import { transact } from "../store/transaction.ts";
import { LinkConnection, silenceMs } from "./connection.ts";
import { Frames } from "./frames.ts";
import { shakeHands } from "./handshake.ts";

/** Handshakes under way at once; more are turned away before they cost anything. */
const maxHandshakes = 64;
const forgetEveryMs = 600_000;
const forgetAfterMs = 30 * 86_400_000;
const forgetAtOnce = 10_000;
/** For so long an action's sealed answer can be fetched. */
const forgetResultsAfterMs = 7 * 86_400_000;
const forgetResultsAtOnce = 500;

export interface Link {
  /** Takes over an upgrade request for `/v1/link`. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Whether this process holds the outpost's link. */
  connected(outpost: OutpostId): boolean;
  /** Closes every link and waits until nothing of them runs any more. */
  close(): Promise<void>;
}

export function startLink(control: Control): Link {
  return new LinkServer(control);
}

class LinkServer implements Link {
  readonly #control: Control;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxLinkMessageBytes,
    perMessageDeflate: false,
    clientTracking: true,
  });
  readonly #connections = new Map<OutpostId, LinkConnection>();
  readonly #closing = new AbortController();
  readonly #serving = new Set<Promise<void>>();
  readonly #forgetting: NodeJS.Timeout;
  #handshakes = 0;

  constructor(control: Control) {
    this.#control = control;
    this.#forgetting = setInterval(() => this.#track(this.#forget()), forgetEveryMs);
    this.#forgetting.unref();
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#closing.signal.aborted || this.#handshakes >= maxHandshakes) {
      socket.end("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#track(this.#serve(webSocket)));
  }

  connected(outpost: OutpostId): boolean {
    return this.#connections.has(outpost);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#forgetting);
    await Promise.all([...this.#connections.values()].map((connection) => connection.close()));
    for (const socket of this.#sockets.clients) socket.terminate();
    await Promise.all(this.#serving);
    this.#sockets.close();
  }

  #track(work: Promise<void>): void {
    const done: Promise<void> = work
      .catch((error: unknown) => this.#control.log.error({ err: error }, "a link failed"))
      .then(() => void this.#serving.delete(done));
    this.#serving.add(done);
  }

  async #serve(socket: WebSocket): Promise<void> {
    // A socket that breaks also closes, and that is what ends its connection.
    socket.on("error", () => undefined);
    const frames = new Frames(socket);
    this.#handshakes++;
    let outpost: Enrolment | undefined;
    try {
      outpost = await shakeHands(this.#control, socket, frames, this.#closing.signal);
    } finally {
      this.#handshakes--;
    }
    if (outpost === undefined) return;
    const connection = new LinkConnection(
      this.#control,
      socket,
      frames,
      outpost,
      toHex(this.#control.random.bytes(16)),
    );
    const { id } = outpost;
    this.#connections.get(id)?.replaced();
    this.#connections.set(id, connection);
    try {
      await this.#announce(connection);
      if (this.#closing.signal.aborted) await connection.close();
      else connection.start();
      await connection.closed;
    } catch (error) {
      socket.terminate();
      throw error;
    } finally {
      if (this.#connections.get(id) === connection) this.#connections.delete(id);
    }
    await this.#bidFarewell(connection);
  }

  async #announce({ id, outpost }: LinkConnection): Promise<void> {
    const now = this.#control.clock.now();
    await transact(this.#control, async (tx) => {
      await takeConnection(tx, outpost.id, id, toTime(now), toTime(now + silenceMs));
      await nameOutpostKey(tx, this.#control, outpost);
      await record(tx, this.#control, {
        type: "outpost.connected",
        ids: { outpost: outpost.id },
        data: { name: outpost.name },
      });
    });
    this.#control.log.info({ outpost: outpost.id, name: outpost.name }, "an outpost's link is up");
  }

  async #bidFarewell({ id, outpost }: LinkConnection): Promise<void> {
    this.#control.log.info({ outpost: outpost.id, name: outpost.name }, "an outpost's link is down");
    await transact(this.#control, async (tx) => {
      if (!(await leaveConnection(tx, outpost.id, id))) return;
      await record(tx, this.#control, {
        type: "outpost.disconnected",
        ids: { outpost: outpost.id },
        data: { name: outpost.name },
      });
    });
  }

  async #forget(): Promise<void> {
    const now = this.#control.clock.now();
    await forgetOldTasks(this.#control.db, toTime(now - forgetAfterMs), forgetAtOnce);
    await forgetOldResults(this.#control.db, toTime(now - forgetResultsAfterMs), forgetResultsAtOnce);
  }
}
