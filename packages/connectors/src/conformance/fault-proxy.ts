/**
 * A TCP relay that loses connections at exact moments, for tests of what a connector does about it. It parses nothing: one *turn* is
 * whatever the client sends until the server answers, so a turn is a request of any protocol in which each waits for the other.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/**
 * What happens at the chosen turn.
 * - `unsent`: the client's bytes are dropped and both sides are cut: certainly not done.
 * - `unanswered`: the server gets them and answers, and the answer is dropped: done, reported as failed.
 * - `abandoned`: the server gets them and the client is cut at once, while the server may still be at it: the death of our process.
 * - `killed`: the server gets them and `onKill` is called with the local port of our side's connection to it.
 */
export const faultModes = ["unsent", "unanswered", "abandoned", "killed"] as const;
export type FaultMode = (typeof faultModes)[number];

export interface ArmedFault {
  readonly mode: FaultMode;
  /** Counted over all connections from the moment of arming; the first is 1. */
  readonly turn: number;
  /** For `killed`: ends the server's side of the connection that came from this port. */
  readonly onKill?: (localPort: number) => Promise<void>;
}

export class FaultProxy {
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #links = new Set<Socket>();
  #turns = 0;
  #armed: ArmedFault | undefined;
  #struck = false;

  private constructor(server: Server, target: { readonly host: string; readonly port: number }) {
    this.#server = server;
    this.#target = target;
    server.on("connection", (client) => this.#relay(client));
  }

  /** Listens on a free loopback port. The caller closes it. */
  static async start(target: { readonly host: string; readonly port: number }): Promise<FaultProxy> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((listening, failed) => {
      server.once("error", failed);
      server.listen(0, "127.0.0.1", listening);
    });
    return new FaultProxy(server, target);
  }

  get port(): number {
    // A TCP server that listens has an address of this form.
    return (this.#server.address() as AddressInfo).port;
  }

  /** Whether the armed fault has happened. */
  get struck(): boolean {
    return this.#struck;
  }

  /** Arms one fault and counts anew. */
  arm(fault: ArmedFault): void {
    this.#armed = fault;
    this.#turns = 0;
    this.#struck = false;
  }

  /** Lets everything through again; `struck` goes on saying whether the last fault happened. */
  disarm(): void {
    this.#armed = undefined;
  }

  /** Cuts every connection now, as the death of our process would. */
  cutAll(): void {
    for (const socket of this.#links) socket.destroy();
  }

  async close(): Promise<void> {
    this.cutAll();
    await new Promise<void>((closed) => this.#server.close(() => closed()));
  }

  #relay(client: Socket): void {
    const server = connect({ ...this.#target, noDelay: true });
    let clientSpoke = false;
    let dropAnswer = false;
    const cut = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#links.add(socket);
      socket.on("error", cut);
      socket.on("close", () => {
        this.#links.delete(socket);
        cut();
      });
    }
    client.on("data", (bytes) => {
      const fault = clientSpoke ? undefined : this.#beginTurn();
      clientSpoke = true;
      switch (fault?.mode) {
        case undefined:
          server.write(bytes);
          return;
        case "unsent":
          cut();
          return;
        case "unanswered":
          dropAnswer = true;
          server.write(bytes);
          return;
        case "abandoned":
          // The bytes leave with the FIN behind them; the server reads and runs them before it notices.
          client.destroy();
          server.end(bytes);
          return;
        case "killed":
          server.write(bytes, () => {
            fault.onKill?.(server.localPort ?? 0).catch(cut);
          });
          return;
      }
    });
    server.on("data", (bytes) => {
      clientSpoke = false;
      if (dropAnswer) cut();
      else client.write(bytes);
    });
  }

  #beginTurn(): ArmedFault | undefined {
    this.#turns += 1;
    if (this.#armed === undefined || this.#struck || this.#turns !== this.#armed.turn) return undefined;
    this.#struck = true;
    return this.#armed;
  }
}
