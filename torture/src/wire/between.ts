/**
 * Stands between the outpost and its database and does to the answers of session logins what a run wants: splits them, alters them, lets them be.
 * What the administrator's connections say passes untouched.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What becomes of the bytes that the server sends: pieces, sent one after the other with a pause, and `undefined` to hang up there. */
export type Tamper = (bytes: Buffer, link: Link) => readonly (Buffer | undefined)[];

/** One connection of the outpost's to the database. */
export interface Link {
  readonly number: number;
  /** As it says in its first message. */
  user: string;
  /** How many bytes the server has sent since signing in was over; `undefined` before. */
  sent: number | undefined;
}

const pieceEveryMs = 2;

export class Between {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #links = 0;
  /** Applied to sessions' logins only. */
  tamper: Tamper | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(target: { readonly host: string; readonly port: number }): Promise<Between> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const between = new Between(server);
    server.on("connection", (outpost) => between.#relay(outpost, connect({ ...target, noDelay: true })));
    return between;
  }

  get port(): number {
    // Listening on TCP, it has such an address.
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that go through now. */
  get open(): number {
    return this.#sockets.size / 2;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((closed) => this.#server.close(() => closed()));
  }

  #relay(outpost: Socket, server: Socket): void {
    const link: Link = { number: (this.#links += 1), user: "", sent: undefined };
    let queue: Promise<void> = Promise.resolve();
    const after = (next: () => unknown): void => void queue.then(next).catch(() => undefined);
    let signIn = Buffer.alloc(0);
    for (const [socket, other] of [
      [outpost, server],
      [server, outpost],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("end", () => after(() => other.end()));
      socket.on("close", () => {
        this.#sockets.delete(socket);
        after(() => other.destroy());
      });
    }
    outpost.on("data", (bytes) => {
      if (link.user === "") link.user = userOf(bytes);
      server.write(bytes);
    });
    server.on("data", (bytes) => {
      const pieces = isSession(link) && this.tamper !== undefined ? this.tamper(bytes, link) : [bytes];
      if (link.sent !== undefined) link.sent += bytes.length;
      else if ((signIn = Buffer.concat([signIn, bytes])).includes(readyForQuery)) link.sent = 0;
      queue = queue.then(async () => {
        for (const [index, piece] of pieces.entries()) {
          if (index > 0) await sleep(pieceEveryMs);
          if (piece === undefined) outpost.destroy();
          else if (!outpost.destroyed) outpost.write(piece);
        }
      });
    });
  }
}

const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

function isSession({ user }: Link): boolean {
  return user.startsWith("cardea_");
}

function userOf(bytes: Buffer): string {
  const words = bytes.toString("latin1", 8).split("\0");
  return words[words.indexOf("user") + 1] ?? "?";
}
