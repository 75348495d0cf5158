import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromBase64, toBase64 } from "./base64.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

describe("base 64", () => {
  // RFC 4648, section 10.
  it.each([
    ["", ""],
    ["f", "Zg=="],
    ["fo", "Zm8="],
    ["foo", "Zm9v"],
    ["foob", "Zm9vYg=="],
    ["fooba", "Zm9vYmE="],
    ["foobar", "Zm9vYmFy"],
  ])("encodes and decodes %j", (text, encoded) => {
    expect(toBase64(bytesOf(text))).toBe(encoded);
    expect(fromBase64(encoded)).toEqual(bytesOf(text));
  });

  it("round-trips any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(fromBase64(toBase64(bytes))).toEqual(bytes);
      }),
    );
  });

  it.each([
    "Zg",
    "Zg=",
    "Zh==",
    "Zm9=",
    "Zg==\n",
    " Zg==",
    "Z g=",
    "Zg==Zg==",
    "====",
    "=",
    "A===",
    "-_-_",
    "Zm9v=",
    "é===",
  ])("refuses %j, which no encoder writes", (text) => {
    expect(fromBase64(text)).toBeUndefined();
  });

  it("accepts of all texts only those that it writes", () => {
    const text = fc.string({ unit: fc.constantFrom("A", "B", "/", "+", "=", "-", "\n"), maxLength: 8 });
    fc.assert(
      fc.property(text, (candidate) => {
        const bytes = fromBase64(candidate);
        if (bytes !== undefined) expect(toBase64(bytes)).toBe(candidate);
      }),
    );
  });
});
