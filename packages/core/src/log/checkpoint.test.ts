import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../lib/hex.ts";
import {
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
  parseCount,
  signCheckpoint,
  type LogIdentity,
} from "./checkpoint.ts";
import { noteSigner, parseVerifierKey, signNote } from "./note.ts";

interface Vectors {
  readonly origin: string;
  readonly verifierKey: string;
  readonly seed: string;
  readonly accepted: readonly {
    readonly note: string;
    readonly size: number;
    readonly root: string;
    readonly extensions: readonly string[];
  }[];
  readonly refused: readonly { readonly what: string; readonly note: string; readonly code: string }[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL("vectors/checkpoints.json", import.meta.url), "utf8"));
const { origin } = vectors;
const signer = noteSigner(origin, fromHex(vectors.seed));
const key = parseVerifierKey(vectors.verifierKey);
if (!key.ok) throw new Error(key.detail);
const log: LogIdentity = { origin, key: key.value };
const root = new Uint8Array(32).fill(3);

describe("checkpoints", () => {
  it.each(vectors.accepted)("of size $size are signed and opened as published", ({ note, size, root, extensions }) => {
    const checkpoint = { origin, size, root: fromHex(root), extensions };
    expect(signCheckpoint(checkpoint, signer)).toBe(note);
    expect(openCheckpoint(note, log)).toEqual({ ok: true, value: checkpoint });
    expect(openCheckpoint(new TextEncoder().encode(note), log)).toEqual({ ok: true, value: checkpoint });
  });

  it("have the standard's form", () => {
    // The body of the standard's own example.
    const body = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    const parsed = parseCheckpoint(body);
    expect(parsed).toMatchObject({
      ok: true,
      value: { origin: "example.com/behind-the-sofa", size: 20852163, extensions: [] },
    });
    expect(parsed.ok && toHex(parsed.value.root).slice(0, 8)).toBe("0ac5186a");
    expect(parsed.ok && formatCheckpoint(parsed.value)).toBe(body);
  });

  it.each(vectors.refused)("are refused: $what", ({ note, code }) => {
    expect(openCheckpoint(note, log)).toMatchObject({ ok: false, code });
  });

  it("with any single bit flipped are refused", () => {
    const note = new TextEncoder().encode(signCheckpoint({ origin, size: 300, root, extensions: [] }, signer));
    for (let bit = 0; bit < note.length * 8; bit++) {
      const flipped = Uint8Array.from(note);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const opened = openCheckpoint(flipped, log);
      if (opened.ok) expect.fail(`accepted with bit ${bit} flipped`);
    }
  });

  it("cut off anywhere are refused", () => {
    const note = signCheckpoint({ origin, size: 300, root, extensions: [] }, signer);
    for (let length = 0; length < note.length; length++) {
      expect(openCheckpoint(note.slice(0, length), log)).toMatchObject({ ok: false, code: "note_malformed" });
    }
  });

  it("may carry signatures of witnesses that the verifier does not know", () => {
    const witness = noteSigner("witness.example", new Uint8Array(32).fill(9));
    const checkpoint = { origin, size: 1, root, extensions: [] };
    expect(openCheckpoint(signNote(formatCheckpoint(checkpoint), [witness, signer]), log).ok).toBe(true);
    expect(openCheckpoint(signNote(formatCheckpoint(checkpoint), [witness]), log)).toMatchObject({
      ok: false,
      code: "note_unsigned",
    });
  });

  it.each([
    { origin: "", size: 0, root, extensions: [] },
    { origin: "two\nlines", size: 0, root, extensions: [] },
    { origin, size: -1, root, extensions: [] },
    { origin, size: 0.5, root, extensions: [] },
    { origin, size: 2 ** 53, root, extensions: [] },
    { origin, size: 0, root: new Uint8Array(31), extensions: [] },
    { origin, size: 0, root, extensions: [""] },
    { origin, size: 0, root, extensions: ["two\nlines"] },
  ])("that cannot be written throw: $origin, $size, $extensions", (checkpoint) => {
    expect(() => formatCheckpoint(checkpoint)).toThrow(RangeError);
  });
});

describe("decimal numbers", () => {
  it.each([
    ["0", 0],
    ["7", 7],
    ["1000", 1000],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
  ])("%s", (text, count) => {
    expect(parseCount(text)).toBe(count);
  });

  it.each([
    "",
    "00",
    "01",
    "-0",
    "+1",
    " 1",
    "1 ",
    "1\n",
    "1_000",
    "0x10",
    "1e3",
    "1.0",
    "Infinity",
    "NaN",
    "9007199254740992",
    "٣",
  ])("refuses %j", (text) => {
    expect(parseCount(text)).toBeUndefined();
  });
});
