/**
 * From the resource to the client. Walks from message to message by their headers and passes on the very buffers that came; large rows
 * and COPY data are passed through while they arrive. Looks only into what moves the pipeline on: completions, errors, ReadyForQuery.
 * What it passes on ends between two messages wherever the message is of ordinary size, so that a word of ours can follow at any time.
 */
import { connectionGone, InnerQuery, failureOf, type InnerAnswer } from "./inner-query.ts";
import { errorResponse, fromServer, headerSize, transaction } from "./messages.ts";
import { owed, type Owed } from "./owed.ts";
import { PartialMessage } from "./partial-message.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Failure } from "./recording.ts";

/** Messages up to this size wait until they are whole; data that is larger streams through. */
const wholeUpTo = 32_768;
/** What must be whole, such as an error, is never longer. */
const longestWhole = 8_388_608;
/** In the place of a message that the client does not see. */
const nothing = Buffer.alloc(0);
/** The SQLSTATE with which the server refuses what stands in the place of a refused statement. */
const poisonState = "42601";

export interface ServerSideHooks {
  readonly sendDown: (bytes: Buffer) => void;
  readonly sendUp: (bytes: Buffer) => void;
  /** The server began to take COPY data. */
  readonly copyBegan: () => void;
  /** The server reported a setting. Answers whether the session may go on. */
  readonly parameter: (name: string, value: string) => void;
  /** The server said something that the protocol does not allow here; nothing further is passed on. */
  readonly violated: (what: string) => void;
}

export class ServerSide {
  readonly #pipeline: Pipeline;
  readonly #hooks: ServerSideHooks;
  readonly #recordsOutput: boolean;
  readonly #partial = new PartialMessage();
  /** Bytes to come of a message that streams through. */
  #streaming = 0;
  #injected: Buffer[] = [];
  #inner: InnerQuery | undefined;
  #stopped = false;
  #fatal = false;
  /** Bytes passed on, and how many of them before the action at the front. */
  #sent = 0;
  #sentBefore = 0;
  /** Of the query at the front. */
  #rows = 0;
  #failure: Failure | undefined;

  constructor(pipeline: Pipeline, hooks: ServerSideHooks, recordsOutput: boolean) {
    this.#pipeline = pipeline;
    this.#hooks = hooks;
    this.#recordsOutput = recordsOutput;
  }

  /** The server has said why it closes the connection: nobody needs to add to that. */
  get saidFarewell(): boolean {
    return this.#fatal;
  }

  /** Bytes to come of a message whose beginning the client has. While there are any, words of ours would cut it in two. */
  get unfinished(): number {
    return this.#streaming;
  }

  /** Whether a query of our own is under way. */
  get busyInside(): boolean {
    return this.#inner !== undefined;
  }

  /** Passes nothing on any more. */
  stop(): void {
    this.#stopped = true;
    this.#inner?.abandon();
    this.#inner = undefined;
  }

  /** Sends a message of ours to the client, as soon as no other is under way. */
  inject(bytes: Buffer): void {
    if (this.#stopped) return;
    if (this.#streaming === 0) this.#hooks.sendDown(bytes);
    else this.#injected.push(bytes);
  }

  /** Runs a query of our own, with values as texts. Only while the pipeline is quiet. */
  inner(sql: string, values: readonly string[] = []): Promise<InnerAnswer> {
    return this.#ask(!this.#pipeline.groupOpen, sql, values);
  }

  /** Ends the client's open group of messages, in which nothing ran but what opens a transaction: there a Sync changes nothing. */
  async endGroup(): Promise<void> {
    this.#pipeline.group += 1;
    this.#pipeline.groupOpen = false;
    await this.#ask(true, undefined, []);
  }

  #ask(synced: boolean, sql: string | undefined, values: readonly string[]): Promise<InnerAnswer> {
    if (this.#stopped) return Promise.resolve(connectionGone);
    return new Promise((answer) => {
      this.#inner = new InnerQuery(synced, answer);
      this.#pipeline.owed.push(owed("inner"));
      this.#hooks.sendUp(InnerQuery.messages(synced, sql, values));
    });
  }

  receive(received: Buffer): void {
    if (this.#stopped) return;
    const bytes = this.#partial.join(received);
    if (bytes === undefined) return;
    let at = 0;
    let from = 0;
    let dataFrom = 0;
    if (this.#streaming > 0) {
      at = Math.min(this.#streaming, bytes.length);
      this.#streaming -= at;
    }
    while (at + headerSize <= bytes.length) {
      const type = bytes[at] ?? 0;
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      const isData = (type === fromServer.dataRow || type === fromServer.copyData) && this.#inner === undefined;
      if (end > bytes.length) {
        if (isData && end - at > wholeUpTo) {
          this.#streaming = end - bytes.length;
          at = bytes.length;
        } else if (end - at > longestWhole) {
          this.#violated("a message longer than any that is expected");
          return;
        }
        break;
      }
      if (isData) {
        at = end;
        continue;
      }
      if (this.#recordsOutput) this.#recordOutput(bytes, dataFrom, at);
      if (this.#inner !== undefined && this.#isInner(type)) {
        this.#send(bytes, from, at);
        from = end;
        this.#takeInner(type, bytes, at, end);
      } else {
        // What is sent before an action's end counts as its own.
        const replacement = this.#message(type, bytes, at, end, this.#sent + at - from);
        if (this.#isStopped()) return;
        if (replacement !== undefined) {
          this.#send(bytes, from, at);
          from = end;
          if (replacement.length > 0) this.#hooks.sendDown(replacement);
        }
      }
      at = end;
      dataFrom = end;
    }
    if (this.#recordsOutput) this.#recordOutput(bytes, dataFrom, at);
    this.#send(bytes, from, at);
    this.#partial.keep(bytes.subarray(at));
    if (this.#streaming === 0 && this.#injected.length > 0) {
      for (const injected of this.#injected) this.#hooks.sendDown(injected);
      this.#injected = [];
    }
    this.#pipeline.settle();
  }

  /** Method, because the compiler does not see that a hook may have stopped us. */
  #isStopped(): boolean {
    return this.#stopped;
  }

  /** Takes note of a message; a replacement where the client is to see another. */
  #message(type: number, bytes: Buffer, at: number, end: number, sent: number): Buffer | undefined {
    const { owed: queue, statements, portals } = this.#pipeline;
    let front = queue.front;
    while (front?.kind === "copyEnd") {
      queue.shift();
      front = queue.front;
    }
    switch (type) {
      case fromServer.parseComplete:
        if (front?.kind !== "parse") return this.#violated("ParseComplete");
        statements.done(front, front.statement);
        queue.shift();
        return undefined;
      case fromServer.bindComplete:
        if (front?.kind !== "bind") return this.#violated("BindComplete");
        portals.done(front, front.portal);
        queue.shift();
        return undefined;
      case fromServer.closeComplete:
        if (front?.kind === "closeStatement") statements.done(front, undefined);
        else if (front?.kind === "closePortal") portals.done(front, undefined);
        else return this.#violated("CloseComplete");
        queue.shift();
        return undefined;
      case fromServer.rowDescription:
      case fromServer.noData:
        if (front?.kind === "describe") queue.shift();
        else if (front?.kind !== "query") return this.#violated("a description");
        return undefined;
      case fromServer.commandComplete:
      case fromServer.emptyQueryResponse:
      case fromServer.portalSuspended: {
        this.#pipeline.copyIn = false;
        const rows = type === fromServer.commandComplete ? rowsIn(bytes, end) : 0;
        if (front?.kind === "query" && type !== fromServer.portalSuspended) {
          this.#rows += rows;
        } else if (front?.kind === "execute") {
          queue.shift();
          this.#finish(front, rows, undefined, sent);
        } else {
          return this.#violated("a completion");
        }
        return undefined;
      }
      case fromServer.readyForQuery:
        if (front?.kind !== "query" && front?.kind !== "sync") return this.#violated("ReadyForQuery");
        queue.shift();
        this.#pipeline.copyIn = false;
        this.#pipeline.status = bytes[at + headerSize] ?? 0;
        if (this.#pipeline.status === transaction.idle) portals.forgetAll();
        if (front.kind === "query") this.#finish(front, this.#rows, this.#failure, sent);
        if (!this.#pipeline.withheld) return undefined;
        this.#pipeline.withheld = false;
        return nothing;
      case fromServer.errorResponse: {
        const body = bytes.subarray(at + headerSize, end);
        if (body.includes("VFATAL\0") || body.includes("VPANIC\0")) this.#fatal = true;
        return this.#error(front, failureOf(body), sent);
      }
      case fromServer.copyInResponse:
        if (front?.kind !== "query" && front?.kind !== "execute") return this.#violated("CopyInResponse");
        this.#pipeline.copyIn = !queue.beginCopy();
        // The Sync that the client may have sent behind it counts for nothing.
        if (this.#pipeline.copyIn && front.kind === "execute") this.#pipeline.groupOpen = true;
        this.#hooks.copyBegan();
        return undefined;
      case fromServer.parameterStatus: {
        const [name = "", value = ""] = bytes.toString("utf8", at + headerSize, end).split("\0");
        this.#hooks.parameter(name, value);
        return undefined;
      }
      case fromServer.copyOutResponse:
      case fromServer.copyDone:
      case fromServer.noticeResponse:
      case fromServer.notificationResponse:
      case fromServer.parameterDescription:
        return undefined;
      default:
        return this.#violated(`a message of type 0x${type.toString(16)}`);
    }
  }

  #error(front: Owed | undefined, failure: Failure, sent: number): Buffer | undefined {
    const refused = front?.words !== undefined && failure.code === poisonState ? front.words : undefined;
    // Without an owner it is the server's own word about the connection, such as that it shuts down.
    if (front === undefined) return undefined;
    if (front.kind === "sync") {
      this.#pipeline.recording.uncommitted(failure);
      return undefined;
    }
    if (front.kind === "query") {
      this.#failure = failure;
      this.#pipeline.copyIn = false;
    } else {
      this.#pipeline.fail(failure, sent - this.#sentBefore);
      this.#sentBefore = sent;
    }
    return refused === undefined ? undefined : errorResponse("ERROR", refused);
  }

  #finish(item: Owed, rows: number, failure: Failure | undefined, sent: number): void {
    if (item.action > 0) {
      const bytes = sent - this.#sentBefore;
      this.#pipeline.recording.outcome(item.action, failure === undefined ? "done" : "failed", rows, bytes, failure);
    }
    this.#sentBefore = sent;
    this.#rows = 0;
    this.#failure = undefined;
  }

  /** What the server may say at any time is the client's, whoever asked. */
  #isInner(type: number): boolean {
    return type !== fromServer.parameterStatus && type !== fromServer.notificationResponse;
  }

  #takeInner(type: number, bytes: Buffer, at: number, end: number): void {
    const taken = this.#inner?.take(type, bytes, at, end);
    if (type === fromServer.readyForQuery) {
      this.#pipeline.status = bytes[at + headerSize] ?? 0;
      if (this.#pipeline.status === transaction.idle) this.#pipeline.portals.forgetAll();
    }
    if (taken === "goes on") return;
    this.#inner = undefined;
    this.#pipeline.owed.shift();
    if (taken !== "failed") return;
    // As if a message of the client's own had failed.
    this.#pipeline.skipping = true;
    this.#hooks.sendDown(Buffer.from(bytes.subarray(at, end)));
  }

  #recordOutput(bytes: Buffer, from: number, to: number): void {
    if (to > from)
      this.#pipeline.recording.data("output", this.#pipeline.owed.front?.action ?? 0, bytes.subarray(from, to));
  }

  #send(bytes: Buffer, from: number, to: number): void {
    if (to <= from) return;
    this.#sent += to - from;
    this.#hooks.sendDown(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
  }

  #violated(what: string): Buffer | undefined {
    this.stop();
    this.#hooks.violated(what);
    return undefined;
  }
}

/** The number at the end of a command's tag, such as `INSERT 0 5`; 0 where there is none. */
function rowsIn(bytes: Buffer, end: number): number {
  let rows = 0;
  let unit = 1;
  for (let at = end - 2; ; at--) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return rows;
    rows += digit * unit;
    unit *= 10;
  }
}
