/**
 * From the client to the resource. Walks from message to message, lets each be looked at, and passes on the very buffers that came, in
 * as few writes as possible. Stands still while something has to be found out first: then what comes is kept, up to a limit, and no more
 * is read. COPY data and very large parameters stream through.
 */
import type { ClientMessages } from "./client-messages.ts";
import { fromClient, headerSize, Malformed } from "./messages.ts";
import { PartialMessage } from "./partial-message.ts";

/** What is to be done with the message at hand. */
export type Step =
  /** Pass it on. */
  | { readonly go: "pass" }
  /** Pass the bytes on instead, or nothing. */
  | { readonly go: "replace"; readonly by: Buffer | undefined }
  /** Look at it again when `until` calls back, at once perhaps. */
  | { readonly go: "stand"; readonly until: (again: () => void) => void }
  /** Look at it again when so many bytes, from its beginning, have come. */
  | { readonly go: "more"; readonly wanted: number }
  /** Pass it on as the last. */
  | { readonly go: "stop" };

export interface ClientSideHooks {
  readonly sendUp: (bytes: Buffer) => void;
  /** Stop or go on reading from the client. */
  readonly reading: (on: boolean) => void;
  /** The client said good-bye; that has been passed on. */
  readonly terminated: () => void;
  readonly violated: (what: string) => void;
  /** Something of ours is broken. */
  readonly fault: (error: unknown) => void;
}

/** As much as is kept while the walk stands; then nothing is read until it goes on. */
const keptWhileStanding = 65_536;
/** As much of a large message as is looked at. */
const beginning = 8_192;

export class ClientSide {
  readonly #messages: ClientMessages;
  readonly #hooks: ClientSideHooks;
  readonly #partial = new PartialMessage();
  /** Bytes to come of a message that is passed on, or thrown away, without being looked at. */
  #streaming = 0;
  #discarding = 0;
  #standing = false;
  #stopped = false;

  constructor(messages: ClientMessages, hooks: ClientSideHooks) {
    this.#messages = messages;
    this.#hooks = hooks;
  }

  stop(): void {
    this.#stopped = true;
  }

  receive(received: Buffer): void {
    if (this.#stopped) return;
    const bytes = this.#partial.join(received);
    if (this.#standing) {
      if (this.#partial.length > keptWhileStanding) this.#hooks.reading(false);
      if (this.#messages.settling) this.resume();
    } else if (bytes !== undefined) {
      this.#walk(bytes);
    }
  }

  /** Goes on where it stood. */
  resume(): void {
    if (this.#stopped || !this.#standing) return;
    this.#standing = false;
    this.#hooks.reading(true);
    this.#walk(this.#partial.take());
  }

  /** COPY has begun: its data need not wait for what the walk stands before. */
  resumeForData(): void {
    if (this.#messages.settling) this.resume();
  }

  /** Whoever makes it go on, nobody else is there to catch what is thrown. */
  #walk(bytes: Buffer): void {
    try {
      this.#steps(bytes);
    } catch (error) {
      if (error instanceof Malformed) this.#violated(`malformed message: ${error.message}`);
      else this.#hooks.fault(error);
    }
  }

  #steps(bytes: Buffer): void {
    const size = bytes.length;
    const discards = this.#discarding > 0;
    let at = this.#passOver(bytes);
    let from = discards ? at : 0;
    while (at + headerSize <= size) {
      const pause = this.#messages.recorderPause;
      if (pause !== undefined) {
        this.#stand(bytes, from, at, (again) => void pause.then(again, again));
        return;
      }
      const type = bytes[at] ?? 0;
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (end < at + headerSize) {
        this.#violated("a message's length is below four");
        return;
      }
      const whole = end <= size;
      if (type === fromClient.copyData && this.#messages.takesData) {
        this.#messages.data(bytes.subarray(at, whole ? end : size));
        this.#streaming = whole ? 0 : end - size;
        at = whole ? end : size;
        continue;
      }
      const longest = this.#messages.longest(type);
      const large = end - at > longest.whole;
      if (end - at > longest.atAll) {
        this.#violated("a message is longer than any of its kind");
        return;
      }
      if (!whole && (!large || size - at < beginning)) break;
      const step = large
        ? this.#messages.takeLarge(type, bytes, at, Math.min(end, size))
        : this.#messages.take(type, bytes, at, end);
      if (this.#isStopped()) return;
      switch (step.go) {
        case "pass":
          this.#streaming = whole ? 0 : end - size;
          at = whole ? end : size;
          break;
        case "replace":
          this.#send(bytes, from, at);
          if (step.by !== undefined) this.#hooks.sendUp(step.by);
          this.#discarding = whole ? 0 : end - size;
          at = whole ? end : size;
          from = at;
          break;
        case "stand":
          this.#stand(bytes, from, at, step.until);
          return;
        case "more":
          this.#send(bytes, from, at);
          this.#partial.keep(bytes.subarray(at), step.wanted);
          return;
        case "stop":
          this.#stopped = true;
          this.#send(bytes, from, end);
          this.#hooks.terminated();
          return;
      }
    }
    this.#send(bytes, from, at);
    this.#keep(bytes.subarray(at));
  }

  /** Deals with the rest of a message whose beginning came before: the offset behind it. */
  #passOver(bytes: Buffer): number {
    const left = Math.max(this.#streaming, this.#discarding);
    const at = Math.min(left, bytes.length);
    if (this.#streaming > 0) {
      this.#streaming -= at;
      this.#messages.data(bytes.subarray(0, at));
    } else if (this.#discarding > 0) {
      this.#discarding -= at;
    }
    return at;
  }

  #keep(rest: Buffer): void {
    const length = rest.length < headerSize ? 0 : 1 + rest.readUInt32BE(1);
    const large = length > this.#messages.longest(rest[0] ?? 0).whole;
    this.#partial.keep(rest, large ? Math.min(beginning, length) : 0);
  }

  #stand(bytes: Buffer, from: number, at: number, until: (again: () => void) => void): void {
    this.#send(bytes, from, at);
    this.#standing = true;
    this.#partial.keep(bytes.subarray(at), Infinity);
    until(() => this.resume());
  }

  #send(bytes: Buffer, from: number, to: number): void {
    if (to > from) this.#hooks.sendUp(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
  }

  #violated(what: string): void {
    this.#stopped = true;
    this.#hooks.violated(what);
  }

  /** Whether a hook stopped us meanwhile; a method, because the compiler assumes otherwise. */
  #isStopped(): boolean {
    return this.#stopped;
  }
}
