/** One client connection whose every byte the run decides about; what comes back is cut into messages, and closely looked at. */
import { connect, type Socket } from "node:net";
import { randomBytes } from "node:crypto";
import { errorFields, fromClient, message } from "@cardea/connectors/postgres/gateway/messages";
import { ScramClient } from "@cardea/connectors/postgres/gateway/scram-client";
import { protocol } from "@cardea/connectors/postgres/gateway/startup-message";

export interface Heard {
  readonly type: string;
  readonly body: Buffer;
}

export interface Credentials {
  readonly port: number;
  readonly user: string;
  readonly secret: string;
  readonly database: string;
}

/** Sends bytes in whatever pieces. */
export type Send = (talker: Talker, bytes: Buffer) => Promise<void> | void;

/** Types of messages that a server may send (PostgreSQL documentation, "Message Formats"). */
const known = new Set("RK23CdcGHWDIEVvnNAtS1sZT");
const longestMessage = 64 * 1_048_576;

export class Talker {
  readonly socket: Socket;
  readonly heard: Heard[] = [];
  /** Bytes that have come and are no whole message. */
  #rest: Buffer[] = [];
  #restLength = 0;
  #wake: (() => void) | undefined;
  /** Why what came cannot be cut into messages. */
  broken: string | undefined;
  closed = false;
  /** What a cancellation has to show. */
  key: Buffer = Buffer.alloc(8);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => this.#take(bytes));
    const over = (): void => {
      this.closed = true;
      this.#wake?.();
    };
    // Whoever ends its side has nothing more to say; a reset comes without that.
    socket.on("end", () => {
      over();
      socket.end();
    });
    socket.on("close", over);
  }

  static async connect(port: number, localAddress?: string): Promise<Talker> {
    const socket = connect({
      port,
      host: "127.0.0.1",
      noDelay: true,
      allowHalfOpen: true,
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    await new Promise<void>((done, failed) => socket.once("connect", done).once("error", failed));
    return new Talker(socket);
  }

  get unfinished(): number {
    return this.#restLength;
  }

  write(bytes: Uint8Array): void {
    if (!this.socket.destroyed && this.socket.writable) this.socket.write(bytes);
  }

  /** Waits until it is so or the connection is over; whether it is so. */
  async until(so: () => boolean, withinMs = 5_000): Promise<boolean> {
    const deadline = performance.now() + withinMs;
    while (!so()) {
      const left = deadline - performance.now();
      if (this.closed || left <= 0) return so();
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((wake) => {
        this.#wake = wake;
        timer = setTimeout(wake, left);
      });
      clearTimeout(timer);
      this.#wake = undefined;
    }
    return true;
  }

  async untilClosed(withinMs: number): Promise<boolean> {
    await this.until(() => this.closed, withinMs);
    return this.closed;
  }

  count(type: string): number {
    let count = 0;
    for (const one of this.heard) if (one.type === type) count += 1;
    return count;
  }

  /** The code of the last error. */
  error(): string | undefined {
    const last = this.heard.findLast(({ type }) => type === "E");
    return last === undefined ? undefined : errorFields(last.body).get("C");
  }

  /** Signs in; the code of the refusal, `ready`, or `lost`. */
  async signIn(
    { user, secret, database }: Credentials,
    send: Send = (talker, bytes) => talker.write(bytes),
  ): Promise<string> {
    await send(
      this,
      message(
        undefined,
        protocol.v3_0,
        "user",
        user,
        "database",
        database,
        "application_name",
        "torture",
        Uint8Array.of(0),
      ),
    );
    if (!(await this.until(() => this.heard.length >= 1, 10_000))) return "lost";
    const refused = this.error();
    if (refused !== undefined) return refused;
    const offered = this.heard.at(-1)?.body.toString("utf8", 4).split("\0") ?? [];
    const scram = ScramClient.choose(offered, secret, undefined, randomBytes(18).toString("base64"));
    if (scram === undefined) return "lost";
    const first = Buffer.from(scram.first);
    await send(this, message(fromClient.password, scram.mechanism, first.length, first));
    if (!(await this.until(() => this.heard.length >= 2, 10_000))) return "lost";
    const unproven = this.error();
    if (unproven !== undefined) return unproven;
    const final = await scram.respond(this.heard.at(-1)?.body.toString("utf8", 4) ?? "");
    if (final === undefined) return "lost";
    await send(this, message(fromClient.password, Buffer.from(final)));
    await this.until(() => this.count("Z") > 0 || this.error() !== undefined, 20_000);
    this.key = this.heard.find(({ type }) => type === "K")?.body ?? this.key;
    return this.error() ?? (this.count("Z") > 0 ? "ready" : "lost");
  }

  #take(bytes: Buffer): void {
    this.#rest.push(bytes);
    this.#restLength += bytes.length;
    this.#cut();
    this.#wake?.();
  }

  #cut(): void {
    let held: Buffer | undefined;
    for (;;) {
      if (this.#restLength < 5 || this.broken !== undefined) break;
      held ??= this.#rest.length === 1 ? this.#rest[0] : Buffer.concat(this.#rest);
      if (held === undefined) break;
      const [type, length] = [String.fromCharCode(held[0] ?? 0), held.readInt32BE(1)];
      if (!known.has(type) || length < 4 || length > longestMessage) {
        this.broken = `a message of type ${JSON.stringify(type)} and length ${String(length)}`;
        break;
      }
      if (held.length < 1 + length) break;
      this.heard.push({ type, body: held.subarray(5, 1 + length) });
      held = held.subarray(1 + length);
      this.#restLength = held.length;
      this.#rest = [held];
    }
    if (held !== undefined) this.#rest = [held];
  }
}

/** What was heard, without what differs from run to run. */
export function transcript(heard: readonly Heard[]): string {
  return heard
    .map(({ type, body }) =>
      body.length > 400 ? `${type}(${String(body.length)})` : `${type}${body.toString("latin1")}`,
    )
    .join("\n");
}
