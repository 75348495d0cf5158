import { describe, expect, test } from "vitest";
import { toTime } from "../documents/primitives.ts";
import type { RecordedEvent, RecordedValue } from "./recorded-event.ts";
import { interleave } from "./recorded-event.ts";
import { eventKinds, valueKinds } from "./records.ts";
import { StrandError, StrandReader } from "./strand-reader.ts";

const text = (value: string): number[] => {
  const bytes = [...new TextEncoder().encode(value)];
  return [bytes.length & 0xff, bytes.length >> 8, 0, 0, ...bytes];
};
const events = (...bytes: number[]): RecordedEvent[] => new StrandReader().events(Uint8Array.from(bytes));
const values = (...bytes: number[]): RecordedValue[] => new StrandReader().values(Uint8Array.from(bytes));

/** 300 ms after the epoch, as LEB128. */
const base = [0xac, 0x02];
const at = toTime(300);

describe("a strand of events", () => {
  test("says when, which, what", () => {
    expect(
      events(
        ...base,
        ...[eventKinds.action, 5, 0, 1, ...text("select 1")],
        ...[eventKinds.again, 6, 1, 0, 0],
        ...[eventKinds.outcome, 5, 2, 1, 3, 0x80, 0x01, ...text("22012")],
        ...[eventKinds.settled, 7, 0, 2],
        ...[eventKinds.moved, 8, 0, 0, 10, 4],
        ...[eventKinds.refused, 9, 0, ...text("no"), ...text("drop")],
        ...[eventKinds.closed, 0, 0, ...text("client"), ...text("")],
      ),
    ).toEqual([
      { type: "action", action: 5, at, text: "select 1", approved: true },
      { type: "action", action: 6, at: "1970-01-01T00:00:00.301Z", text: "select 1", approved: false },
      {
        type: "outcome",
        action: 5,
        at: "1970-01-01T00:00:00.302Z",
        outcome: "failed",
        rows: 3,
        bytes: 128,
        error: "22012",
      },
      { type: "settled", action: 7, at, verdict: "expired" },
      { type: "moved", action: 8, direction: "input", bytes: 10, recorded: 4 },
      { type: "refused", action: 9, at, text: "drop", words: "no" },
      { type: "closed", at, why: "client", words: "" },
    ]);
  });

  test("a text goes over pieces, and one without end is cut and says so", () => {
    const reader = new StrandReader();
    expect(reader.events(Uint8Array.from([...base, eventKinds.part, ...text("select ")]))).toEqual([]);
    expect(reader.unfinished).toBe(true);
    expect(reader.events(Uint8Array.from([...base, eventKinds.held, 1, 0, ...text("1")]))).toEqual([
      { type: "held", action: 1, at, text: "select 1" },
    ]);
    expect(reader.unfinished).toBe(false);

    const part = new Uint8Array(60_000 + 7).fill(0x61);
    part.set([...base, eventKinds.part, 60_000 & 0xff, 60_000 >> 8, 0, 0]);
    for (let i = 0; i < 20; i++) reader.events(part);
    const [long] = reader.events(Uint8Array.from([...base, eventKinds.held, 1, 0, ...text("")]));
    expect(long).toMatchObject({ type: "held", shortened: true });
    expect(long?.type === "held" && long.text.length).toBe(1024 * 1024);
    expect(reader.unfinished).toBe(false);
  });

  test("that ends in the middle of anything is none", () => {
    const whole = [...base, eventKinds.outcome, 5, 2, 1, 3, 0x80, 0x01, ...text("22012")];
    for (let length = base.length + 1; length < whole.length; length++)
      expect(() => events(...whole.slice(0, length)), String(length)).toThrow(StrandError);
    expect(events(...base)).toEqual([]);
    expect(events()).toEqual([]);
  });

  test.each([
    ["a kind that is none", [99, 1, 0]],
    ["an outcome that is none", [eventKinds.outcome, 1, 0, 3, 0, 0, 0, 0, 0, 0]],
    ["a text that the piece does not have", [eventKinds.again, 1, 0, 0, 0]],
    ["a number beyond all", [eventKinds.settled, ...Array.from({ length: 8 }, () => 0xff), 0x7f, 0, 0]],
    ["a length beyond the end", [eventKinds.held, 1, 0, 0xff, 0xff, 0xff, 0xff]],
  ])("with %s is none", (_name, bytes) => {
    expect(() => events(...base, ...bytes)).toThrow(StrandError);
  });
});

describe("a strand of values", () => {
  test("holds bytes and messages", () => {
    expect(
      values(
        ...[valueKinds.parameters, 1, 2, 0, 0, 0, 0xff, 0xfe],
        ...[valueKinds.part, ...text("not a ")],
        ...[valueKinds.message, 2, ...text("number")],
        ...[valueKinds.output, 3, ...text("row")],
      ),
    ).toEqual([
      { type: "parameters", action: 1, data: "__4" },
      { type: "message", action: 2, text: "not a number" },
      { type: "output", action: 3, data: "cm93" },
    ]);
    expect(() => values(9, 1, 0)).toThrow(StrandError);
  });
});

describe("interleaved", () => {
  const done = { type: "outcome", at, outcome: "done", rows: 0, bytes: 0 } as const;
  const action = (number: number): RecordedEvent => ({ type: "action", action: number, at, text: "", approved: false });

  test("values stand with their action", () => {
    const a = { type: "parameters", action: 1, data: "YQ" } as const;
    const b = { type: "output", action: 1, data: "Yg" } as const;
    const c = { type: "parameters", action: 2, data: "Yw" } as const;
    const lone = { type: "output", action: 9, data: "ZA" } as const;
    const outcome = { ...done, action: 1 };
    expect(interleave([action(1), action(2), outcome], [lone, a, c, b])).toEqual([
      action(1),
      a,
      action(2),
      c,
      b,
      outcome,
      lone,
    ]);
  });
});
