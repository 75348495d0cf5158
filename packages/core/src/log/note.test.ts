import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromHex } from "../lib/hex.ts";
import {
  maxNoteBytes,
  maxNoteSignatures,
  noteSigner,
  openNote,
  parseVerifierKey,
  signNote,
  type NoteVerifier,
} from "./note.ts";

interface NoteCase {
  readonly what: string;
  readonly note: string;
  readonly verifierKeys: readonly string[];
}
interface Vectors {
  readonly keys: readonly { readonly name: string; readonly seed: string; readonly verifierKey: string }[];
  readonly refusedVerifierKeys: readonly { readonly key: string; readonly code: string }[];
  readonly accepted: readonly (NoteCase & { readonly text: string; readonly signedBy: readonly string[] })[];
  readonly refused: readonly (NoteCase & { readonly code: string })[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL("vectors/notes.json", import.meta.url), "utf8"));

const encoder = new TextEncoder();
function verifier(key: string): NoteVerifier {
  const parsed = parseVerifierKey(key);
  if (!parsed.ok) throw new Error(parsed.detail);
  return parsed.value;
}
const signer = (name: string, byte = 1) => noteSigner(name, new Uint8Array(32).fill(byte));

describe("keys", () => {
  it.each(vectors.keys)("of $name have the published verifier key", ({ name, seed, verifierKey }) => {
    const { id, verifierKey: own } = noteSigner(name, fromHex(seed));
    expect(own).toBe(verifierKey);
    expect(verifier(verifierKey)).toMatchObject({ name, id });
  });

  it.each(vectors.refusedVerifierKeys)("refuse $key as $code", ({ key, code }) => {
    expect(parseVerifierKey(key)).toMatchObject({ ok: false, code });
  });

  it("have an id that depends on the name too", () => {
    expect(signer("a").id).not.toBe(signer("b").id);
  });

  it.each(["", "with space", "with+plus", "with\nline", "with\u00a0space", "with\u2028separator", "with\u0085next"])(
    "cannot be named %j",
    (name) => {
      expect(() => signer(name)).toThrow(RangeError);
    },
  );
});

describe("opening a note", () => {
  it.each(vectors.accepted)("accepts $what", ({ note, verifierKeys, text, signedBy }) => {
    for (const form of [note, encoder.encode(note)]) {
      const opened = openNote(form, verifierKeys.map(verifier));
      expect(opened).toMatchObject({ ok: true, value: { text } });
      expect(opened.ok && opened.value.signedBy.map(({ name }) => name)).toEqual(signedBy);
    }
  });

  it.each(vectors.refused)("refuses $what", ({ note, verifierKeys, code }) => {
    for (const form of [note, encoder.encode(note)]) {
      expect(openNote(form, verifierKeys.map(verifier))).toMatchObject({ ok: false, code });
    }
  });

  const log = signer("log.example");
  const key = verifier(log.verifierKey);
  const others = (count: number) => Array.from({ length: count }, (_, i) => signer(`other.example/${i}`, i));

  it("refuses bytes that are not UTF-8, and text that has no UTF-8 form", () => {
    const note = encoder.encode(signNote("text\n", [log]));
    expect(openNote(Uint8Array.of(0xff, ...note), [key])).toMatchObject({ ok: false, code: "note_malformed" });
    expect(openNote(Uint8Array.of(0xc0, 0x80, ...note), [key])).toMatchObject({ ok: false, code: "note_malformed" });
    const lone = signNote("text \ufffd\n", [log]).replace("\ufffd", "\ud800");
    expect(openNote(lone, [key])).toMatchObject({ ok: false, code: "note_malformed" });
  });

  it("does not drop a byte-order mark, which the signature covers", () => {
    const note = encoder.encode(signNote("\ufefftext\n", [log]));
    expect(openNote(note, [key])).toMatchObject({ ok: true, value: { text: "\ufefftext\n" } });
    const added = Uint8Array.of(0xef, 0xbb, 0xbf, ...encoder.encode(signNote("text\n", [log])));
    expect(openNote(added, [key])).toMatchObject({ ok: false, code: "note_bad_signature" });
  });

  it("takes the last empty line as the end of the text", () => {
    const note = signNote("inner\n\n— log.example AAAAAAAAAAA=\n", [log]);
    expect(openNote(note, [key])).toMatchObject({ ok: true, value: { text: "inner\n\n— log.example AAAAAAAAAAA=\n" } });
    expect(openNote(`${signNote("text\n", [log])}\n— log.example AAAAAAAAAAA=\n`, [key])).toMatchObject({
      ok: false,
      code: "note_unsigned",
    });
  });

  it("looks at the largest note and at none larger", () => {
    const { length } = signNote("\n", [log]);
    const largest = signNote(`${"a".repeat(maxNoteBytes - length)}\n`, [log]);
    expect(openNote(largest, [key]).ok).toBe(true);
    // The em dash is one code unit and three bytes.
    expect(openNote(encoder.encode(largest), [key])).toMatchObject({ ok: false, code: "note_too_large" });
    expect(openNote(`a${largest}`, [key])).toMatchObject({ ok: false, code: "note_too_large" });
  });

  it("looks at 64 signatures and at no more", () => {
    const most = signNote("text\n", [...others(maxNoteSignatures - 1), log]);
    expect(openNote(most, [key]).ok).toBe(true);
    const more = signNote("text\n", [...others(maxNoteSignatures), log]);
    expect(openNote(more, [key])).toMatchObject({ ok: false, code: "note_too_large" });
  });

  it("throws where the caller's keys are ambiguous", () => {
    expect(() => openNote(signNote("text\n", [log]), [key, key])).toThrow(RangeError);
  });

  it("trusts nobody where no key is known", () => {
    expect(openNote(signNote("text\n", [log]), [])).toMatchObject({ ok: false, code: "note_unsigned" });
  });

  it("gives back any text that was signed", () => {
    const line = fc
      .string({ unit: "grapheme", maxLength: 40 })
      .filter((text) => !/[\u0000-\u001f]|\p{Surrogate}/u.test(text));
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 6 }), (lines) => {
        const text = `${lines.join("\n")}\n`;
        expect(openNote(encoder.encode(signNote(text, [log])), [key])).toMatchObject({ ok: true, value: { text } });
      }),
    );
  });

  it("never throws on arbitrary input", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => !openNote(bytes, [key]).ok));
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => !openNote(text, [key]).ok));
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => !parseVerifierKey(text).ok));
  });
});

describe("signing a note", () => {
  it.each(["", "no newline", "tab\there\n", "return\r\n", "lone \ud800 surrogate\n"])(
    "throws for the text %j",
    (text) => {
      expect(() => signNote(text, [signer("log.example")])).toThrow(RangeError);
    },
  );
});
