import type { RequestId } from "../contract/ids.ts";
import { toTime } from "../documents/primitives.ts";
import { toBase64Url } from "../lib/base64url.ts";
import type { RecordedEvent, RecordedValue } from "./recorded-event.ts";
import { directions, eventKinds, maxAgain, outcomes, valueKinds, verdicts } from "./records.ts";

/** Bytes of one text that are put together; more is passed over and said so. */
const maxTextBytes = 1024 * 1024;

const decoder = new TextDecoder();

/** A strand does not have its form. What was sealed by an outpost always has, so this is a fault of ours, or of whoever had its keys. */
export class StrandError extends Error {}

/** Reads a strand piece by piece, in order: long texts go over the end of one. Begun in the middle, it misses what began before. */
export class StrandReader {
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  #shortened = false;

  /** Whether a text has begun that goes on in the next piece. */
  get unfinished(): boolean {
    return this.#parts.length > 0;
  }

  /** @throws StrandError */
  events(bytes: Uint8Array): RecordedEvent[] {
    const events: RecordedEvent[] = [];
    if (bytes.length === 0) return events;
    const from = new Cursor(bytes);
    const baseMs = from.number();
    const texts: string[] = [];
    while (!from.atEnd) {
      const kind = from.byte();
      if (kind === eventKinds.part) this.#part(from.bytes());
      else events.push(this.#event(kind, from, baseMs, texts));
    }
    return events;
  }

  /** @throws StrandError */
  values(bytes: Uint8Array): RecordedValue[] {
    const values: RecordedValue[] = [];
    const from = new Cursor(bytes);
    while (!from.atEnd) {
      const kind = from.byte();
      if (kind === valueKinds.part) this.#part(from.bytes());
      else values.push(this.#value(kind, from));
    }
    return values;
  }

  #event(kind: number, from: Cursor, baseMs: number, texts: string[]): RecordedEvent {
    // `filed` belongs to no action, `moved` to no moment, and both keep the others' form.
    const action = from.number();
    const at = toTime(baseMs + from.number());
    switch (kind) {
      case eventKinds.action: {
        const approved = from.byte() === 1;
        const { text, ...cut } = this.#text(from);
        if (texts.length < maxAgain) texts.push(text);
        return { type: "action", action, at, text, approved, ...cut };
      }
      case eventKinds.again: {
        const approved = from.byte() === 1;
        const text = texts[from.number()];
        if (text === undefined) throw new StrandError("a text that the piece does not have");
        return { type: "action", action, at, text, approved };
      }
      case eventKinds.outcome: {
        const outcome = named(outcomes, from.byte());
        const [rows, bytes] = [from.number(), from.number()];
        const error = decoder.decode(from.bytes());
        return { type: "outcome", action, at, outcome, rows, bytes, ...(error !== "" && { error }) };
      }
      case eventKinds.refused: {
        const words = decoder.decode(from.bytes());
        const { text, ...cut } = this.#text(from);
        return { type: "refused", action, at, text, words, ...cut };
      }
      case eventKinds.held:
        return { type: "held", action, at, ...this.#text(from) };
      case eventKinds.filed: {
        // Written from a `RequestId`; the view's schema looks again.
        const request = decoder.decode(from.bytes()) as RequestId;
        return { type: "filed", at, request, code: decoder.decode(from.bytes()) };
      }
      case eventKinds.settled:
        return { type: "settled", action, at, verdict: named(verdicts, from.byte()) };
      case eventKinds.moved: {
        const direction = named(directions, from.byte());
        return { type: "moved", action, direction, bytes: from.number(), recorded: from.number() };
      }
      case eventKinds.closed: {
        const why = decoder.decode(from.bytes());
        return { type: "closed", at, why, words: this.#text(from).text };
      }
      default:
        throw new StrandError(`no event is of the kind ${String(kind)}`);
    }
  }

  #value(kind: number, from: Cursor): RecordedValue {
    const action = from.number();
    switch (kind) {
      case valueKinds.parameters: {
        const { bytes, ...cut } = this.#whole(from);
        return { type: "parameters", action, data: toBase64Url(bytes), ...cut };
      }
      case valueKinds.input:
        return { type: "input", action, data: toBase64Url(from.bytes()) };
      case valueKinds.output:
        return { type: "output", action, data: toBase64Url(from.bytes()) };
      case valueKinds.message:
        return { type: "message", action, ...this.#text(from) };
      default:
        throw new StrandError(`no value is of the kind ${String(kind)}`);
    }
  }

  #part(bytes: Uint8Array): void {
    const room = Math.max(0, maxTextBytes - this.#partBytes);
    if (bytes.length > room) this.#shortened = true;
    const kept = bytes.slice(0, room);
    this.#parts.push(kept);
    this.#partBytes += kept.length;
  }

  #text(from: Cursor): { text: string; shortened?: true } {
    const { bytes, ...cut } = this.#whole(from);
    return { text: decoder.decode(bytes), ...cut };
  }

  /** The record's own bytes behind the parts that came before it. */
  #whole(from: Cursor): { bytes: Uint8Array; shortened?: true } {
    if (this.#parts.length === 0) return { bytes: from.bytes() };
    this.#part(from.bytes());
    const bytes = new Uint8Array(this.#partBytes);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    const shortened = this.#shortened;
    this.#parts = [];
    this.#partBytes = 0;
    this.#shortened = false;
    return { bytes, ...(shortened && { shortened }) };
  }
}

class Cursor {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new StrandError("it ends in the middle of a record");
    this.#at++;
    return byte;
  }

  /** LEB128, up to 2^53 - 1. */
  number(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new StrandError("a number is too large");
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }

  /** With their length in front: four bytes, least significant first. */
  bytes(): Uint8Array {
    const length = this.byte() + this.byte() * 0x100 + this.byte() * 0x1_0000 + this.byte() * 0x100_0000;
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new StrandError("it ends in the middle of a record");
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }
}

function named<const T>(names: readonly T[], number: number): T {
  const name = names[number];
  if (name === undefined) throw new StrandError("a number that stands for nothing");
  return name;
}
