/**
 * One session: a client and the resource, joined. Moves bytes with back-pressure both ways, keeps the deadline, guards what statements
 * were judged by, and ends everything in order: nothing more is passed on, the resource gives up what it does, the client hears why.
 */
import type { Duplex } from "node:stream";
import type { Clock } from "@cardea/core/lib/clock";
import type { GatewaySession, SessionEnd, SessionEvent } from "../../gateway.ts";
import type { Client } from "./arrival.ts";
import type { CancelRegistry } from "./cancel-registry.ts";
import { ClientMessages } from "./client-messages.ts";
import { ClientSide } from "./client-side.ts";
import { RestOfMessage, sayFarewell } from "./farewell.ts";
import { Hold } from "./hold.ts";
import type { InnerAnswer } from "./inner-query.ts";
import { Judgements } from "./judgements.ts";
import { fromClient, fromServer, message, transaction, type Words } from "./messages.ts";
import { Pipeline } from "./pipeline.ts";
import { Recording } from "./recording.ts";
import { ServerSide } from "./server-side.ts";
import type { GatewayLimits, PostgresUpstream } from "./settings.ts";
import { authentication } from "./sign-in.ts";
import { pinnedSettings } from "./startup-message.ts";
import type { SessionView } from "./statement-judge.ts";
import type { StatementJudge } from "./statement.ts";
import type { Upstream } from "./upstream.ts";

export interface SessionParts {
  readonly client: Client;
  readonly session: GatewaySession<PostgresUpstream>;
  readonly upstream: Upstream;
  readonly judgeOf: JudgeOf;
  readonly limits: GatewayLimits;
  readonly clock: Clock;
  readonly cancels: CancelRegistry;
  /** A fault of ours or of the host, for the log. */
  readonly fault: (error: unknown) => void;
  readonly ended: () => void;
}

/** Makes the judge of one session's statements. */
export type JudgeOf = (session: GatewaySession<PostgresUpstream>, view: SessionView) => StatementJudge;

type Why = Extract<SessionEvent, { type: "closed" }>["why"];

/** The longest time that a timer can be set for. */
const longestTimerMs = 2 ** 31 - 1;
/** What the resource may take to give up what it does, before its connection is dropped. */
const cancelWaitMs = 2_000;

/** The rest of a row or piece of data that the client still gets after the session is over, in bytes, so that it can be told why. */
const longestRest = 262_144;

export class Session {
  readonly #parts: SessionParts;
  readonly #down: Duplex;
  readonly #up: Duplex;
  readonly #recording: Recording;
  readonly #pipeline: Pipeline;
  readonly #judgements: Judgements;
  readonly #server: ServerSide;
  readonly #hold: Hold;
  readonly #clientSide: ClientSide;
  readonly #process: number;
  readonly #key: Buffer;
  #deadline: NodeJS.Timeout | undefined;
  /** Why nothing is read from the client just now. */
  #standing = false;
  #upFull = false;
  #terminated = false;
  #over = false;
  /** After the session is over: what it had begun to pass on. */
  #rest: RestOfMessage | undefined;
  readonly #onClosed = (): void => {
    const end = endOf(this.#parts.session.closed.reason);
    this.end(end.why, { code: "57P01", message: end.words });
  };

  constructor(parts: SessionParts) {
    const { client, session, upstream, limits, clock } = parts;
    this.#parts = parts;
    this.#down = client.stream;
    this.#up = upstream.stream;
    this.#recording = new Recording(session, clock);
    this.#pipeline = new Pipeline(this.#recording, (bytes) => this.#sendUp(bytes));
    this.#judgements = new Judgements(
      parts.judgeOf(session, {
        upstream: session.upstream,
        parameter: (name) => this.#initial(name),
        look: (sql, values) => this.#look(sql, values),
      }),
      this.#initial("search_path") !== undefined,
    );
    const violated = (by: "client" | "resource", what: string): void => {
      const words = by === "client" ? what : `the resource does not keep to the protocol: ${what}`;
      this.end(by === "client" ? "protocol" : "resource", { code: "08P01", message: words });
    };
    const hooks = {
      sendDown: (bytes: Buffer) => this.#sendDown(bytes),
      sendUp: (bytes: Buffer) => this.#sendUp(bytes),
      copyBegan: () => this.#clientSide.resumeForData(),
      parameter: (name: string, value: string) => this.#guard(name, value),
      violated: (what: string) => violated("resource", what),
    };
    this.#server = new ServerSide(this.#pipeline, hooks, session.recordsOutput);
    const holdHooks = {
      end: (end: SessionEnd) => this.end(end.why, { code: "57P01", message: end.words }),
      fault: (error: unknown) => this.#fault(error),
    };
    this.#hold = new Hold(session, this.#pipeline, this.#judgements, this.#server, holdHooks, {
      keepAliveMs: limits.keepAliveMs,
      serverVersion: Number.parseInt(this.#initial("server_version") ?? "", 10),
    });
    const messages = new ClientMessages(this.#pipeline, this.#judgements, this.#hold, limits);
    this.#clientSide = new ClientSide(messages, {
      sendUp: (bytes) => this.#sendUp(bytes),
      reading: (on) => {
        this.#standing = !on;
        this.#read();
      },
      terminated: () => this.#terminate(),
      violated: (what) => violated("client", what),
      fault: (error) => this.#fault(error),
    });
    const { process, body } = parts.cancels.add(client.startup.version, () => this.#cancel());
    this.#process = process;
    this.#key = body;
  }

  /** Lets the client in and begins to relay. */
  start(): void {
    const { client, session, upstream } = this.#parts;
    this.#attach();
    this.#down.write(
      Buffer.concat([
        message(fromServer.authentication, authentication.ok),
        ...upstream.parameters.values(),
        ...upstream.notices,
        message(fromServer.backendKeyData, this.#key),
        message(fromServer.readyForQuery, Uint8Array.of(transaction.idle)),
      ]),
    );
    session.closed.addEventListener("abort", this.#onClosed, { once: true });
    if (session.closed.aborted) {
      this.#onClosed();
      return;
    }
    this.#armDeadline();
    if (upstream.rest.length > 0) this.#receiveDown(upstream.rest);
    const early = client.reader.release();
    if (early.length > 0) this.#receiveUp(early);
    this.#down.resume();
    this.#up.resume();
  }

  /** Ends the session, once: words are for the client, `undefined` where it has gone. */
  end(why: Why, words: Words | undefined): void {
    if (this.#over) return;
    this.#over = true;
    const { session, cancels, upstream, limits } = this.#parts;
    const idle = this.#pipeline.owed.size === 0 && !this.#pipeline.groupOpen;
    const { unfinished } = this.#server;
    // What is recorded ends here; and more than this would be another story than the end of a row.
    const waits = words !== undefined && unfinished > 0 && unfinished <= longestRest && !session.recordsOutput;
    this.#clientSide.stop();
    this.#server.stop();
    this.#hold.stop();
    clearTimeout(this.#deadline);
    session.closed.removeEventListener("abort", this.#onClosed);
    cancels.remove(this.#process);
    const drop = (): void => void this.#up.destroy();
    if (idle || this.#terminated) {
      const last = this.#terminated ? undefined : message(fromClient.terminate);
      // Many at once: clients hear of their end before the servers that it gives work to.
      setImmediate(() => (this.#up.writable ? this.#up.end(last, drop) : drop()));
    } else {
      // Destroyed at once, the server would go on until it has something to say.
      const timer = setTimeout(drop, cancelWaitMs);
      const over = (): void => {
        if (this.#rest !== undefined) return;
        clearTimeout(timer);
        drop();
      };
      upstream.cancel().then(over, over);
    }
    if (waits) {
      this.#rest = new RestOfMessage(unfinished, this.#down, cancelWaitMs, (whole) => {
        this.#rest = undefined;
        drop();
        sayFarewell(this.#down, whole ? words : undefined, limits.farewellMs);
      });
      this.#up.resume();
    } else {
      // In the middle of a message of the server's, words of ours would be read as its rest.
      sayFarewell(this.#down, unfinished === 0 ? words : undefined, limits.farewellMs);
    }
    this.#pipeline.abandon();
    this.#recording.closed(why, words?.message ?? "");
    this.#parts.ended();
  }

  #attach(): void {
    const lost = (): void => this.#lostUp();
    this.#down.on("data", (bytes: Buffer) => this.#receiveUp(bytes));
    this.#down.on("drain", () => void this.#up.resume());
    this.#down.on("end", () => this.#gone());
    this.#down.on("error", () => this.#gone());
    this.#down.on("close", () => this.#gone());
    this.#up.on("data", (bytes: Buffer) => this.#receiveDown(bytes));
    this.#up.on("drain", () => {
      this.#upFull = false;
      this.#read();
    });
    this.#up.on("end", lost);
    this.#up.on("error", lost);
    this.#up.on("close", lost);
  }

  #receiveUp(bytes: Buffer): void {
    if (this.#over) return;
    if (this.#parts.clock.now() >= this.#parts.session.notAfterMs) {
      this.#deadlinePassed();
      return;
    }
    this.#clientSide.receive(bytes);
  }

  #receiveDown(bytes: Buffer): void {
    this.#rest?.receive(bytes);
    if (this.#over) return;
    try {
      this.#server.receive(bytes);
    } catch (error) {
      this.#fault(error);
    }
  }

  #sendUp(bytes: Buffer): void {
    if (this.#up.write(bytes)) return;
    this.#upFull = true;
    this.#read();
  }

  #sendDown(bytes: Buffer): void {
    if (!this.#down.write(bytes)) this.#up.pause();
  }

  #read(): void {
    if (this.#over) return;
    if (this.#standing || this.#upFull) this.#down.pause();
    else this.#down.resume();
  }

  #cancel(): void {
    if (this.#over || this.#hold.withdraw()) return;
    // Not our own queries, on which it would land by chance.
    if (this.#pipeline.owed.size > 0 && !this.#server.busyInside)
      this.#parts.upstream.cancel().catch((error: unknown) => this.#parts.fault(error));
  }

  #terminate(): void {
    this.#terminated = true;
    if (this.#pipeline.owed.size === 0) this.end("client", undefined);
    // Else the resource finishes what it was sent, as it would without us, and closes.
  }

  #gone(): void {
    if (!this.#terminated) this.end("vanished", undefined);
  }

  #lostUp(): void {
    this.#rest?.giveUp();
    if (this.#terminated) this.end("client", undefined);
    else if (this.#server.saidFarewell) this.end("resource", undefined);
    else this.end("resource", { code: "08006", message: "the connection to the resource was lost" });
  }

  /** Statements were judged under these settings; whatever changed one of them, they no longer mean what was judged. */
  #guard(name: string, value: string): void {
    const initial = name === "session_authorization" ? this.#initial(name) : pinnedSettings[name];
    if (name === "search_path") this.#judgements.changed();
    else if (initial !== undefined && initial !== value)
      this.end("protocol", {
        code: "57P01",
        message: `the session is closed, because \`${name}\` changed, which is pinned here`,
      });
  }

  #initial(name: string): string | undefined {
    return this.#parts.upstream.parameters.get(name)?.toString("utf8", 5).split("\0")[1];
  }

  /** Asks the server something in the session itself, as soon as nothing of the client's is under way. */
  async #look(sql: string, values: readonly string[]): Promise<InnerAnswer> {
    // The walk that asks has not sent yet what stands before.
    await Promise.resolve();
    return new Promise((answer, failed) =>
      this.#pipeline.quiet(false, () => {
        if (this.#over || this.#pipeline.skipping || this.#pipeline.status === transaction.failed)
          answer({ error: aborted });
        else this.#server.inner(sql, values).then(answer, failed);
      }),
    );
  }

  #armDeadline(): void {
    const leftMs = this.#parts.session.notAfterMs - this.#parts.clock.now();
    if (leftMs <= 0) this.#deadlinePassed();
    else this.#deadline = setTimeout(() => this.#armDeadline(), Math.min(leftMs, longestTimerMs));
  }

  #deadlinePassed(): void {
    this.end("deadline", { code: "57P01", message: "the key's time is over: ask for a new one" });
  }

  #fault(error: unknown): void {
    this.#parts.fault(error);
    this.end("fault", { code: "XX000", message: "something is broken in the gateway; its log has the details" });
  }
}

const aborted = {
  code: "25P02",
  message: "current transaction is aborted, commands ignored until end of transaction block",
};

function endOf(reason: unknown): SessionEnd {
  if (typeof reason === "object" && reason !== null && "why" in reason && "words" in reason)
    // The port says what the reason is.
    return reason as SessionEnd;
  return { why: "killed", words: "the session was ended" };
}
