import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SessionEvent } from "@cardea/connectors/gateway";
import { RequestId } from "@cardea/core/contract/ids";
import type { RecordedEvent, RecordedValue } from "@cardea/core/recording/recorded-event";
import { StrandReader } from "@cardea/core/recording/strand-reader";
import { Chunks } from "./chunks.ts";
import { EventWriter, type Batch } from "./event-writer.ts";
import { defaultRecorderLimits, type RecorderLimits } from "./limits.ts";

const startMs = Date.parse("2026-11-22T09:00:00.000Z");
const uses: [] = [];

function writer(change: Partial<RecorderLimits> = {}, recordsOutput = false): EventWriter {
  return new EventWriter({ chunks: new Chunks(), limits: { ...defaultRecorderLimits, ...change }, recordsOutput });
}

function taken(from: EventWriter): Batch[] {
  const batches: Batch[] = [];
  for (let batch = from.take(); batch !== undefined; batch = from.take()) batches.push(batch);
  return batches;
}

function read(batches: readonly Batch[]): { events: RecordedEvent[]; values: RecordedValue[] } {
  const readers = { events: new StrandReader(), values: new StrandReader() };
  return {
    events: batches.flatMap(({ events }) => readers.events.events(events)),
    values: batches.flatMap(({ values }) => readers.values.values(values)),
  };
}

const action = (number: number, text: string, parameters?: Uint8Array): SessionEvent => ({
  type: "action",
  action: number,
  atMs: startMs + number,
  text,
  approved: false,
  uses,
  ...(parameters !== undefined && { parameters }),
});
const time = (ms: number): string => new Date(ms).toISOString();
const plain = ({ data }: { data: string }): string => Buffer.from(data, "base64url").toString("utf8");

const text = fc.oneof(
  fc.constantFrom("select 1", "begin", "", "select '\u{1F600}'", "bad \ud800 surrogate"),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.integer({ min: 15_000, max: 140_000 }).map((length) => "é".repeat(length)),
);
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  fc.constantFrom(new Uint8Array(49_152), new Uint8Array(200_001).fill(7)),
);
const number = fc.integer({ min: 0, max: 2 ** 40 });
const atMs = fc.integer({ min: startMs, max: startMs + 2 ** 33 });
const event: fc.Arbitrary<SessionEvent> = fc.oneof(
  fc.record({
    type: fc.constant("action" as const),
    action: number,
    atMs,
    text,
    approved: fc.boolean(),
    parameters: bytes,
    uses: fc.constant(uses),
  }),
  fc.record({
    type: fc.constant("outcome" as const),
    action: number,
    atMs,
    outcome: fc.constantFrom("done" as const, "failed" as const, "unknown" as const),
    rows: number,
    bytes: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    error: fc.record({ code: fc.constantFrom("42501", "XX000"), message: text }),
  }),
  fc.record({ type: fc.constant("refused" as const), action: number, atMs, text, words: fc.string({ maxLength: 90 }) }),
  fc.record({ type: fc.constant("held" as const), action: number, atMs, text }),
  fc.record({
    type: fc.constantFrom("input" as const, "output" as const),
    action: fc.integer({ min: 1, max: 3 }),
    bytes,
  }),
);

/** What a reader is to make of it; values in their own order. */
function expected(events: readonly SessionEvent[]): { events: string[]; values: string[] } {
  const out = { events: [] as string[], values: [] as string[] };
  const value = (...parts: unknown[]): void => void out.values.push(JSON.stringify(parts));
  const digest = (data: Uint8Array): string =>
    `${String(data.length)} ${Buffer.from(data).toString("base64url").slice(0, 90)}`;
  for (const one of events) {
    if (one.type === "input" || one.type === "output") {
      value(one.type, one.action, digest(one.bytes));
      continue;
    }
    if (one.type === "action") {
      out.events.push(JSON.stringify([one.type, one.action, one.approved, Buffer.from(one.text).toString("utf8")]));
      if (one.parameters !== undefined) value("parameters", one.action, digest(one.parameters));
    } else if (one.type === "outcome") {
      out.events.push(JSON.stringify([one.type, one.action, one.outcome, one.rows, one.bytes, one.error?.code]));
      if (one.error !== undefined) value("message", one.action, Buffer.from(one.error.message).toString("utf8"));
    } else if (one.type === "refused" || one.type === "held")
      out.events.push(JSON.stringify([one.type, one.action, Buffer.from(one.text).toString("utf8")]));
  }
  return out;
}

function told({ events, values }: ReturnType<typeof read>): { events: string[]; values: string[] } {
  const out = { events: [] as string[], values: [] as string[] };
  let last: { type: string; action: number; data: Buffer } | undefined;
  const flush = (): void => {
    if (last === undefined) return;
    out.values.push(
      JSON.stringify([
        last.type,
        last.action,
        `${String(last.data.length)} ${last.data.toString("base64url").slice(0, 90)}`,
      ]),
    );
    last = undefined;
  };
  for (const one of events) {
    if (one.type === "action") out.events.push(JSON.stringify([one.type, one.action, one.approved, one.text]));
    else if (one.type === "outcome")
      out.events.push(JSON.stringify([one.type, one.action, one.outcome, one.rows, one.bytes, one.error]));
    else if (one.type === "refused" || one.type === "held")
      out.events.push(JSON.stringify([one.type, one.action, one.text]));
  }
  for (const one of values) {
    if (one.type === "message") {
      flush();
      out.values.push(JSON.stringify([one.type, one.action, one.text]));
    } else if (one.type === "parameters") {
      flush();
      last = { type: one.type, action: one.action, data: Buffer.from(one.data, "base64url") };
      flush();
    } else
      out.values.push(JSON.stringify([one.type, one.action, Buffer.from(one.data, "base64url").toString("base64url")]));
  }
  return out;
}

describe("what is written is read", () => {
  test("whatever happens, in whatever pieces", () => {
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 60 }),
        fc.constantFrom(70_000, 1024 * 1024),
        fc.array(fc.nat({ max: 60 }), { maxLength: 5 }),
        (events, pieceBytes, cuts) => {
          const to = writer({ pieceBytes });
          const batches: Batch[] = [];
          // Data has a test of its own.
          const whole = events.filter(({ type }) => type !== "input" && type !== "output");
          whole.forEach((one, index) => {
            to.write(one);
            if (cuts.includes(index)) batches.push(...taken(to));
          });
          batches.push(...taken(to));
          expect(told(read(batches))).toEqual(expected(whole));
          for (const { events: strand, values } of batches)
            expect(strand.length + values.length).toBeLessThanOrEqual(pieceBytes + 64 * 1024);
          expect(to.isEmpty).toBe(true);
          expect(to.bytes).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("times count from the piece's first, and never backwards", () => {
    const to = writer();
    to.write(action(5, "a"));
    to.write(action(2, "b"));
    expect(read(taken(to)).events.map((one) => "at" in one && one.at)).toEqual([time(startMs + 5), time(startMs + 5)]);
  });

  test("a text that comes again in a piece is written once, and in the next piece anew", () => {
    const to = writer();
    for (let i = 0; i < 500; i++) to.write(action(i, "select something_of_some_length from t where id = $1"));
    const [batch] = taken(to);
    expect(batch?.events.length).toBeLessThan(500 * 10);
    to.write(action(500, "select something_of_some_length from t where id = $1"));
    expect(read(taken(to)).events).toMatchObject([{ text: "select something_of_some_length from t where id = $1" }]);
  });

  test("what is only lent is copied", () => {
    const to = writer();
    const lent = Buffer.from("first");
    to.write(action(1, "a", lent));
    lent.fill("x");
    expect(read(taken(to)).values.map((one) => "data" in one && plain(one))).toEqual(["first"]);
  });

  test("the request of a held action stands behind it", () => {
    const to = writer();
    const request = RequestId.parse("req_01jd8q0000000000000000000a");
    to.write({ type: "held", action: 1, atMs: startMs, text: "drop table t" });
    to.filed(startMs + 4, request, "K7QD-9MXT-2F4H");
    expect(read(taken(to)).events[1]).toEqual({
      type: "filed",
      at: time(startMs + 4),
      request,
      code: "K7QD-9MXT-2F4H",
    });
  });
});

describe("input and output", () => {
  const data = (type: "input" | "output", number_: number, length: number): SessionEvent => ({
    type,
    action: number_,
    bytes: Buffer.alloc(length, type === "input" ? "i" : "o"),
  });
  const recorded = (all: ReturnType<typeof read>, type: string): number =>
    all.values.reduce((sum, one) => sum + (one.type === type && "data" in one ? plain(one).length : 0), 0);

  test("are counted, and recorded whole where the resource says so", () => {
    const to = writer({}, true);
    for (let i = 0; i < 40; i++) to.write(data("input", 1, 70_000));
    for (let i = 0; i < 3; i++) to.write(data("output", 1, 10));
    to.write(data("output", 2, 5));
    const all = read(taken(to));
    expect(all.events).toEqual([
      { type: "moved", action: 1, direction: "input", bytes: 2_800_000, recorded: 2_800_000 },
      { type: "moved", action: 1, direction: "output", bytes: 30, recorded: 30 },
      { type: "moved", action: 2, direction: "output", bytes: 5, recorded: 5 },
    ]);
    expect([recorded(all, "input"), recorded(all, "output")]).toEqual([2_800_000, 35]);
  });

  test("of other resources the first of each action's input is, and it is said how much", () => {
    const to = writer({ inputBytes: 100 });
    for (let i = 0; i < 3; i++) to.write(data("input", 1, 60));
    to.write(action(1, "copy"));
    to.write(data("input", 1, 60));
    to.write(data("input", 2, 60));
    to.write(data("output", 2, 60));
    const all = read(taken(to));
    expect(all.events.filter(({ type }) => type === "moved")).toEqual([
      { type: "moved", action: 1, direction: "input", bytes: 180, recorded: 100 },
      { type: "moved", action: 1, direction: "input", bytes: 60, recorded: 0 },
      { type: "moved", action: 2, direction: "input", bytes: 60, recorded: 60 },
      { type: "moved", action: 2, direction: "output", bytes: 60, recorded: 0 },
    ]);
    expect([recorded(all, "input"), recorded(all, "output")]).toEqual([160, 0]);
  });
});
