/**
 * The PostgreSQL gateway: the wire between clients that hold a Cardea key and one real database. The outpost accepts connections and hands
 * them over; here they are told apart, signed in through the host, joined to a connection of the session's own login, and relayed, each
 * statement judged. Holds no policy, no key and no credential beyond the session's own, and writes nothing down.
 */
import type { Socket } from "node:net";
import type { Gateway, GatewayHost, GatewaySurroundings } from "../../gateway.ts";
import { arrive, isProxy, type Client, type Line } from "./arrival.ts";
import { ConnectionLost } from "./byte-reader.ts";
import { CancelRegistry } from "./cancel-registry.ts";
import { Farewell, sayFarewell } from "./farewell.ts";
import { fromServer, message, type Words } from "./messages.ts";
import { Session, type JudgeOf } from "./session.ts";
import { defaultLimits, type GatewayLimits, type PostgresGatewaySettings, type PostgresUpstream } from "./settings.ts";
import { signIn } from "./sign-in.ts";
import type { Startup } from "./startup-message.ts";
import { connectUpstream, UpstreamRefusal, type Upstream } from "./upstream.ts";

export class PostgresGateway implements Gateway {
  readonly #host: GatewayHost<PostgresUpstream>;
  readonly #settings: PostgresGatewaySettings;
  readonly #surroundings: GatewaySurroundings;
  readonly #judgeOf: JudgeOf;
  readonly #limits: GatewayLimits;
  readonly #cancels: CancelRegistry;
  readonly #sessions = new Set<Session>();
  /** Connections that have not signed in, with the address that they come from. */
  readonly #arriving = new Map<Socket, string>();
  readonly #sockets = new Set<Socket>();
  #closed: string | undefined;

  constructor(
    host: GatewayHost<PostgresUpstream>,
    settings: PostgresGatewaySettings,
    surroundings: GatewaySurroundings,
    judgeOf: JudgeOf,
  ) {
    this.#host = host;
    this.#settings = settings;
    this.#surroundings = surroundings;
    this.#judgeOf = judgeOf;
    this.#limits = { ...defaultLimits, ...settings.limits };
    this.#cancels = new CancelRegistry(surroundings.random);
  }

  get open(): Gateway["open"] {
    return { arriving: this.#arriving.size, sessions: this.#sessions.size };
  }

  accept(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    const address = socket.remoteAddress ?? "";
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#arriving.delete(socket);
    });
    if (this.#closed !== undefined) {
      sayFarewell(socket, { code: "57P03", message: this.#closed }, this.#limits.farewellMs);
    } else if (this.#crowded(address)) {
      sayFarewell(
        socket,
        { code: "53300", message: "too many connections are signing in: try again" },
        this.#limits.farewellMs,
      );
    } else {
      this.#arriving.set(socket, address);
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 30_000);
      this.#arrive(socket).catch(() => socket.destroy());
    }
  }

  async close(words: string): Promise<void> {
    this.#closed = words;
    for (const session of this.#sessions) session.end("shutdown", { code: "57P01", message: words });
    for (const socket of this.#arriving.keys()) socket.destroy();
    await Promise.all([...this.#sockets].map((socket) => new Promise((closed) => socket.once("close", closed))));
  }

  #crowded(address: string): boolean {
    if (this.#arriving.size >= this.#limits.arriving) return true;
    // A proxy brings everybody's connections.
    if (isProxy(this.#settings.proxies, address)) return false;
    let fromOne = 0;
    for (const other of this.#arriving.values()) if (other === address) fromOne++;
    return fromOne >= this.#limits.arrivingFromOne;
  }

  /** From the connection to the session; never rejects. */
  async #arrive(socket: Socket): Promise<void> {
    const line: Line = { stream: socket };
    const gone = new AbortController();
    const abort = (): void => gone.abort();
    socket.once("close", abort);
    const late = setTimeout(() => socket.destroy(), this.#limits.arrivalMs);
    try {
      const arrived = await arrive(socket, line, this.#settings);
      if (arrived.kind === "session") {
        await this.#signIn(arrived.client, gone.signal);
        clearTimeout(late);
      } else {
        if (arrived.kind === "cancel") this.#cancels.request(arrived.process, arrived.key);
        socket.destroy();
      }
    } catch (error) {
      if (error instanceof Farewell) sayFarewell(line.stream, error.words, this.#limits.farewellMs);
      else {
        // A handshake that failed, a client that has gone: nobody is left to be told.
        socket.destroy();
        if (!(error instanceof ConnectionLost))
          this.#surroundings.log.debug({ err: error }, "a connection ended before it signed in");
      }
    } finally {
      clearTimeout(late);
      socket.off("close", abort);
      this.#arriving.delete(socket);
    }
  }

  async #signIn(client: Client, signal: AbortSignal): Promise<void> {
    const { startup } = client;
    if (startup.negotiate) client.stream.write(negotiation(startup));
    const { random, clock, log } = this.#surroundings;
    const admission = await signIn(client, this.#host, random, signal).catch((error: unknown) => {
      if (error instanceof Farewell || error instanceof ConnectionLost) throw error;
      log.warn({ err: error }, "the host could not decide about a connection");
      throw new Farewell({ code: "57P03", message: "the gateway cannot admit anybody now: try again later" });
    });
    if (admission.is === "refused") throw new Farewell(refusal(admission.because, admission.words, startup.user));
    const { session } = admission;
    const never = (why: "vanished" | "resource" | "shutdown", words: string): void => {
      session.record({ type: "closed", atMs: clock.now(), why, words })?.catch(() => undefined);
    };
    let upstream: Upstream;
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#limits.upstreamMs)]);
      upstream = await connectUpstream(session.upstream, startup.settings, random, limit);
    } catch (error) {
      const words: Words =
        error instanceof UpstreamRefusal ? error.words : { code: "XX000", message: "the resource cannot be reached" };
      if (!signal.aborted)
        log.warn({ err: error, session: session.id }, "the resource could not be reached for a session");
      never(signal.aborted ? "vanished" : "resource", words.message);
      throw new Farewell(words);
    }
    if (signal.aborted || this.#closed !== undefined) {
      upstream.stream.destroy();
      never(this.#closed === undefined ? "vanished" : "shutdown", this.#closed ?? "");
      throw new ConnectionLost("the client has gone");
    }
    const opened: Session = new Session({
      client,
      session,
      upstream,
      judgeOf: this.#judgeOf,
      limits: this.#limits,
      clock,
      cancels: this.#cancels,
      fault: (error) => log.warn({ err: error, session: session.id }, "a session ended by a fault"),
      ended: () => this.#sessions.delete(opened),
    });
    this.#sessions.add(opened);
    opened.start();
  }
}

/** Our version is the newest of ours not above the client's; then what we do not know (PostgreSQL documentation, "Message Formats"). */
function negotiation({ version, unknownOptions }: Startup): Buffer {
  return message(fromServer.negotiateProtocolVersion, version, unknownOptions.length, ...unknownOptions);
}

function refusal(because: "unproven" | "forbidden" | "full" | "unavailable", words: string, user: string): Words {
  switch (because) {
    case "unproven":
      return { code: "28P01", message: `password authentication failed for user "${user}"` };
    case "forbidden":
      return { code: "28000", message: words };
    case "full":
      return { code: "53300", message: words };
    case "unavailable":
      return { code: "57P03", message: words };
  }
}
