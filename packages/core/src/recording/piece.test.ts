/**
 * Published vectors of a recording: its pieces, keys and what is in them, for readers in other languages. `CARDEA_WRITE_VECTORS=1` writes the file
 * anew, which changes what was published: only together with a new version of the head.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { GrantId, ResourceId, SessionId } from "../contract/ids.ts";
import { fromBase64Url, toBase64Url } from "../lib/base64url.ts";
import { openAes256Gcm, sealAes256Gcm } from "../lib/crypto.ts";
import {
  chainDigest,
  chained,
  chainStart,
  headBytes,
  parsePiece,
  sectionContext,
  sectionForms,
  sectionNonce,
  strandsBytes,
  type RecordingHead,
  type Strand,
} from "./piece.ts";
import { eventKinds, valueKinds } from "./records.ts";
import { RecordedEvent, RecordedValue } from "./recorded-event.ts";
import { StrandReader } from "./strand-reader.ts";

const file = new URL("vectors/recording.json", import.meta.url);
const session = SessionId.parse("ses_01jd8q0000000000000000000a");
const keys: Readonly<Record<Strand, Uint8Array>> = {
  events: new Uint8Array(32).fill(1),
  values: new Uint8Array(32).fill(2),
};
const head: RecordingHead = {
  v: 1,
  session,
  grant: GrantId.parse("gra_01jd8q0000000000000000000b"),
  resource: ResourceId.parse("res_01jd8q0000000000000000000c"),
  at: "2026-11-22T09:00:00.000Z" as RecordingHead["at"],
  output: false,
  recordingKey: "0123456789abcdef",
  keys: { events: { enc: "AAAA", ciphertext: "BBBB" }, values: { enc: "CCCC", ciphertext: "DDDD" } },
};

const bytesOf = (text: string): number[] => [...new TextEncoder().encode(text)];
const text = (value: string): number[] => [value.length, 0, 0, 0, ...bytesOf(value)];

/** 2026-11-22T09:00:00.000Z in milliseconds, as LEB128. */
const base = [0x80, 0xad, 0xef, 0x93, 0xa0, 0x34];

/** Two pieces behind the head: one with both strands, one with events alone, which are deflated. */
function pieces(): Uint8Array[] {
  const events = Uint8Array.from([
    ...base,
    ...[eventKinds.action, 1, 0, 0, ...text("select $1")],
    ...[eventKinds.outcome, 1, 5, 0, 1, 60, ...text("")],
  ]);
  const values = Uint8Array.from([valueKinds.parameters, 1, ...text("7")]);
  const more = Uint8Array.from([
    ...base,
    ...Array.from({ length: 20 }, (_, index) => [eventKinds.held, index + 2, 9, ...text("drop table t")]).flat(),
  ]);
  const section = (strand: Strand, index: number, form: number, bytes: Uint8Array): Uint8Array =>
    sealAes256Gcm(
      keys[strand],
      sectionNonce(strand, index),
      sectionContext(session, strand, index),
      Uint8Array.from([form, ...bytes]),
    );
  return [
    headBytes(head),
    strandsBytes(section("events", 1, sectionForms.stored, events), section("values", 1, sectionForms.stored, values)),
    strandsBytes(section("events", 2, sectionForms.deflated, deflateRawSync(more)), new Uint8Array(0)),
  ];
}

const Vector = z.strictObject({
  session: z.string(),
  keys: z.strictObject({ events: z.string(), values: z.string() }),
  pieces: z.array(z.string()),
  digests: z.array(z.string()),
  events: z.array(RecordedEvent),
  values: z.array(RecordedValue),
});

function open(all: readonly Uint8Array[]): { events: RecordedEvent[]; values: RecordedValue[] } {
  const out = { events: [] as RecordedEvent[], values: [] as RecordedValue[] };
  const readers = { events: new StrandReader(), values: new StrandReader() };
  all.forEach((bytes, index) => {
    const piece = parsePiece(bytes);
    if (piece?.is !== "strands") return;
    const opened = (strand: Strand): Uint8Array => {
      if (piece[strand].length === 0) return piece[strand];
      const plain = openAes256Gcm(
        keys[strand],
        sectionNonce(strand, index),
        sectionContext(session, strand, index),
        piece[strand],
      );
      if (plain === undefined) throw new Error("it does not open");
      return plain[0] === sectionForms.stored ? plain.subarray(1) : inflateRawSync(plain.subarray(1));
    };
    out.events.push(...readers.events.events(opened("events")));
    out.values.push(...readers.values.values(opened("values")));
  });
  return out;
}

function vector(): z.infer<typeof Vector> {
  const all = pieces();
  let chain = chainStart(session);
  const digests = [chainDigest(chain)];
  for (const piece of all) {
    chain = chained(chain, piece);
    digests.push(chainDigest(chain));
  }
  return {
    session,
    keys: { events: toBase64Url(keys.events), values: toBase64Url(keys.values) },
    pieces: all.map(toBase64Url),
    digests,
    ...open(all),
  };
}

describe("the published recording", () => {
  if (process.env["CARDEA_WRITE_VECTORS"] === "1") writeFileSync(file, `${JSON.stringify(vector(), null, 2)}\n`);
  const published = Vector.parse(JSON.parse(readFileSync(file, "utf8")));
  const all = published.pieces.map(fromBase64Url);

  test("opens, and says what it said", () => {
    expect(open(all)).toEqual({ events: published.events, values: published.values });
    expect(published.events[0]).toEqual({
      type: "action",
      action: 1,
      at: "2026-11-22T09:00:00.000Z",
      text: "select $1",
      approved: false,
    });
    expect(published.events).toHaveLength(22);
  });

  test("comes to its digest, piece by piece", () => {
    let chain = chainStart(session);
    expect(chainDigest(chain)).toBe(published.digests[0]);
    all.forEach((piece, index) => {
      chain = chained(chain, piece);
      expect(chainDigest(chain)).toBe(published.digests[index + 1]);
    });
  });

  test("is what is written today, but for what compresses it", () => {
    expect(pieces().slice(0, 2).map(toBase64Url)).toEqual(published.pieces.slice(0, 2));
  });

  test("a section opens in its own place alone", () => {
    const piece = parsePiece(all[1] ?? new Uint8Array(0));
    if (piece?.is !== "strands") throw new Error("it is one of strands");
    const other = SessionId.parse("ses_01jd8q0000000000000000000z");
    const tries: readonly [Strand, number, SessionId, Uint8Array][] = [
      ["events", 2, session, piece.events],
      ["values", 1, session, piece.events],
      ["events", 1, other, piece.events],
      ["events", 1, session, piece.values],
      ["events", 1, session, piece.events.subarray(1)],
      ["events", 1, session, piece.events.subarray(0, 8)],
    ];
    for (const [strand, index, of, sealed] of tries) {
      const context = sectionContext(of, strand, index);
      expect(openAes256Gcm(keys.events, sectionNonce(strand, index), context, sealed)).toBeUndefined();
    }
    for (let bit = 0; bit < piece.events.length * 8; bit++) {
      const changed = Uint8Array.from(piece.events);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const context = sectionContext(session, "events", 1);
      expect(openAes256Gcm(keys.events, sectionNonce("events", 1), context, changed)).toBeUndefined();
    }
  });

  test("the chain changes with any piece, and with their order", () => {
    const digest = (list: readonly Uint8Array[]): string => chainDigest(list.reduce(chained, chainStart(session)));
    const [a, b, c] = all as [Uint8Array, Uint8Array, Uint8Array];
    const lists = [[a, b, c], [a, c, b], [a, b], [a, c], [b, c], [a, b, c, c], [a, b, c.subarray(1)], []];
    expect(new Set(lists.map(digest)).size).toBe(lists.length);
  });
});

test.each([
  ["nothing", []],
  ["a kind that is none", [7, 0, 0, 0, 0]],
  ["a section longer than the piece", [1, 9, 0, 0, 0, 1]],
  ["an unfinished length", [1, 0, 0]],
  ["a head that is no JSON", [0, 0x7b]],
  ["a head without its fields", [0, 0x7b, 0x7d]],
])("%s is no piece", (_name, bytes) => {
  expect(parsePiece(Uint8Array.from(bytes))).toBeUndefined();
});
