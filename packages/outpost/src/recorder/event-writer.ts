/**
 * Writes what happens in one session as the records of its recording (`core/recording/records.ts`), batch by batch; a batch becomes a piece. Called
 * for every action of every session, so it allocates nothing where nothing is new, and copies what is only lent to it.
 */
import type { SessionEvent } from "@cardea/connectors/gateway";
import type { RequestId } from "@cardea/core/contract/ids";
import { never } from "@cardea/core/lib/never";
import { directions, eventKinds, maxAgain, outcomes, valueKinds, verdicts } from "@cardea/core/recording/records";
import { chunkBytes, type Chunks } from "./chunks.ts";
import type { RecorderLimits } from "./limits.ts";
import { StrandWriter } from "./strand-writer.ts";

/** Kind, flags, and numbers of a record, without its texts. */
const recordBytes = 64;
/** Of a text that lies in one chunk with its record. A character takes three bytes at most, and one pair four. */
const longestInline = Math.floor((chunkBytes - recordBytes) / 3);
/** Of a text in parts, each. */
const partBytes = 48 * 1024;

type Data = Extract<SessionEvent, { type: "input" | "output" }>;

/** What a piece is made of. */
export interface Batch {
  readonly events: Buffer;
  readonly values: Buffer;
}

export interface EventWriterOptions {
  readonly chunks: Chunks;
  readonly limits: RecorderLimits;
  readonly recordsOutput: boolean;
}

export class EventWriter {
  readonly #chunks: Chunks;
  readonly #limits: RecorderLimits;
  readonly #recordsOutput: boolean;
  readonly #batches: OpenBatch[] = [];
  #batch: OpenBatch | undefined;
  #written = 0;
  /** What went one way for one action, until something else happens. */
  #moving: { readonly action: number; readonly type: Data["type"]; bytes: number; recorded: number } | undefined;
  /** The action whose input is being counted, and how much of it is recorded. */
  #inputOf = -1;
  #inputRecorded = 0;

  constructor({ chunks, limits, recordsOutput }: EventWriterOptions) {
    this.#chunks = chunks;
    this.#limits = limits;
    this.#recordsOutput = recordsOutput;
  }

  /** Bytes in memory that nobody has taken. */
  get bytes(): number {
    return this.#written + (this.#batch?.bytes ?? 0);
  }

  get isEmpty(): boolean {
    return this.#batch === undefined && this.#batches.length === 0 && this.#moving === undefined;
  }

  write(event: SessionEvent): void {
    if (this.#moving !== undefined && event.type !== "input" && event.type !== "output") this.#moved();
    switch (event.type) {
      case "input":
      case "output":
        this.#data(event);
        return;
      case "action": {
        this.#action(event.action, event.atMs, event.approved ? 1 : 0, event.text);
        const { parameters } = event;
        if (parameters !== undefined) this.#value(valueKinds.parameters, event.action, parameters);
        return;
      }
      case "outcome": {
        const events = this.#event(eventKinds.outcome, event.action, event.atMs, recordBytes);
        events.byte(outcomes.indexOf(event.outcome));
        events.number(event.rows);
        events.number(event.bytes);
        if (event.error === undefined) {
          events.text("");
          return;
        }
        events.text(event.error.code.slice(0, 5));
        this.#value(valueKinds.message, event.action, Buffer.from(event.error.message));
        return;
      }
      case "refused": {
        const words = event.words.slice(0, 4_000);
        const text = this.#inParts(event.text, event.atMs);
        const events = this.#event(eventKinds.refused, event.action, event.atMs, 3 * (words.length + text.length));
        events.text(words);
        events.text(text);
        return;
      }
      case "held": {
        const text = this.#inParts(event.text, event.atMs);
        this.#event(eventKinds.held, event.action, event.atMs, 3 * text.length).text(text);
        return;
      }
      case "settled":
        this.#event(eventKinds.settled, event.action, event.atMs, 1).byte(verdicts.indexOf(event.verdict));
        return;
      case "closed": {
        const words = event.words.slice(0, 4_000);
        const events = this.#event(eventKinds.closed, 0, event.atMs, 3 * (event.why.length + words.length));
        events.text(event.why);
        events.text(words);
        return;
      }
      default:
        never(event);
    }
  }

  /** The held action's request is known. */
  filed(atMs: number, request: RequestId, code: string): void {
    if (this.#moving !== undefined) this.#moved();
    const events = this.#event(eventKinds.filed, 0, atMs, request.length + 3 * code.length);
    events.text(request);
    events.text(code);
  }

  /** The oldest of what was written, or `undefined` where nothing is left. */
  take(): Batch | undefined {
    if (this.#batches.length === 0) {
      if (this.#moving !== undefined) this.#moved();
      this.#close();
    }
    const batch = this.#batches.shift();
    if (batch === undefined) return undefined;
    this.#written -= batch.bytes;
    return batch.take();
  }

  /** Nothing of it is wanted any more. */
  drop(): void {
    this.#moving = undefined;
    this.#close();
    for (const batch of this.#batches.splice(0)) batch.drop();
    this.#written = 0;
  }

  #action(action: number, atMs: number, approved: 0 | 1, text: string): void {
    const known = this.#batch?.texts.get(text);
    if (known !== undefined && this.#fits(recordBytes)) {
      const events = this.#event(eventKinds.again, action, atMs, 0);
      events.byte(approved);
      events.number(known);
      return;
    }
    const last = this.#inParts(text, atMs);
    const events = this.#event(eventKinds.action, action, atMs, 3 * last.length);
    events.byte(approved);
    events.text(last);
    const texts = this.#batch?.texts;
    if (texts !== undefined && texts.size < maxAgain) texts.set(text, texts.size);
  }

  #data({ type, action, bytes }: Data): void {
    let moving = this.#moving;
    if (moving?.action !== action || moving.type !== type) {
      if (moving !== undefined) this.#moved();
      moving = this.#moving = { action, type, bytes: 0, recorded: 0 };
    }
    moving.bytes += bytes.length;
    const recorded = this.#recordsOutput ? bytes : type === "input" ? this.#firstOf(action, bytes) : undefined;
    if (recorded === undefined || recorded.length === 0) return;
    moving.recorded += recorded.length;
    const kind = type === "input" ? valueKinds.input : valueKinds.output;
    for (let at = 0; at < recorded.length; at += partBytes)
      this.#piece(kind, action, recorded.subarray(at, at + partBytes));
  }

  /** As much of an action's input as is recorded without being asked for. */
  #firstOf(action: number, bytes: Uint8Array): Uint8Array {
    if (this.#inputOf !== action) {
      this.#inputOf = action;
      this.#inputRecorded = 0;
    }
    const first = bytes.subarray(0, Math.max(0, this.#limits.inputBytes - this.#inputRecorded));
    this.#inputRecorded += first.length;
    return first;
  }

  #moved(): void {
    const moving = this.#moving;
    if (moving === undefined) return;
    this.#moving = undefined;
    const events = this.#event(eventKinds.moved, moving.action, this.#batch?.baseMs ?? 0, 0);
    events.byte(directions.indexOf(moving.type));
    events.number(moving.bytes);
    events.number(moving.recorded);
  }

  /** A value of any length. */
  #value(kind: number, action: number, bytes: Uint8Array): void {
    let at = 0;
    for (; bytes.length - at > partBytes; at += partBytes) {
      const values = this.#with(partBytes + recordBytes).values;
      values.room(partBytes + recordBytes);
      values.byte(valueKinds.part);
      values.data(bytes.subarray(at, at + partBytes));
    }
    this.#piece(kind, action, at === 0 ? bytes : bytes.subarray(at));
  }

  #piece(kind: number, action: number, bytes: Uint8Array): void {
    const most = bytes.length + recordBytes;
    const { values } = this.#with(most);
    values.room(most);
    values.byte(kind);
    values.number(action);
    values.data(bytes);
  }

  /** Writes all of a long text but its end; a text of usual length is its own end. */
  #inParts(text: string, atMs: number): string {
    if (text.length <= longestInline - 4_000) return text;
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += partBytes) {
      const batch = this.#with(partBytes + recordBytes);
      const { events } = batch;
      events.room(partBytes + recordBytes);
      batch.begin(atMs);
      events.byte(eventKinds.part);
      events.data(bytes.subarray(at, at + partBytes));
    }
    return "";
  }

  /** Begins a record of an event. @param textBytes that its texts may take */
  #event(kind: number, action: number, atMs: number, textBytes: number): StrandWriter {
    const most = textBytes + recordBytes;
    const batch = this.#with(most);
    const { events } = batch;
    events.room(most);
    batch.begin(atMs);
    events.byte(kind);
    events.number(action);
    // A clock that was set back does not make the past longer.
    events.number(Math.max(0, Math.floor(atMs) - batch.baseMs));
    return events;
  }

  #fits(most: number): boolean {
    return this.#batch !== undefined && this.#batch.bytes + most <= this.#limits.pieceBytes;
  }

  #with(most: number): OpenBatch {
    if (this.#batch !== undefined && !this.#fits(most)) this.#close();
    return (this.#batch ??= new OpenBatch(this.#chunks));
  }

  #close(): void {
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch === undefined) return;
    this.#batches.push(batch);
    this.#written += batch.bytes;
  }
}

class OpenBatch {
  readonly events: StrandWriter;
  readonly values: StrandWriter;
  /** Texts of actions, by their number in the batch. */
  readonly texts = new Map<string, number>();
  #baseMs: number | undefined;

  constructor(chunks: Chunks) {
    this.events = new StrandWriter(chunks);
    this.values = new StrandWriter(chunks);
  }

  get bytes(): number {
    return this.events.bytes + this.values.bytes;
  }

  get baseMs(): number {
    return this.#baseMs ?? 0;
  }

  /** The strand of events begins with the time that its records count from. */
  begin(atMs: number): void {
    if (this.#baseMs !== undefined) return;
    this.#baseMs = Math.floor(atMs);
    this.events.number(this.#baseMs);
  }

  take(): Batch {
    return { events: this.events.take(), values: this.values.take() };
  }

  drop(): void {
    this.events.drop();
    this.values.drop();
  }
}
