import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { base32ToInt, intToBase32, toBase32 } from "./base32.ts";
import { fromBase64Url, parseBase64Url, toBase64Url } from "./base64url.ts";
import { fromHex, toHex } from "./hex.ts";

const bytes = fc.uint8Array({ maxLength: 64 });

describe("base 32 (Crockford, lower case)", () => {
  it.each([
    [[], ""],
    [[0], "00"],
    [[0xff], "zw"],
    [
      [
        0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf, 0x84, 0x65, 0x3a, 0x56, 0xd7, 0xc6, 0x75, 0xbe,
        0x77, 0xdf,
      ],
      "0123456789abcdefghjkmnpqrstvwxyz",
    ],
  ])("%j", (input, text) => {
    expect(toBase32(Uint8Array.from(input))).toBe(text);
  });

  it("keeps the order of byte strings of one length", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        (a, b) => {
          expect(Math.sign(Buffer.compare(a, b))).toBe(
            toBase32(a) < toBase32(b) ? -1 : toBase32(a) > toBase32(b) ? 1 : 0,
          );
        },
      ),
    );
  });

  it("integers come back, in exactly the given length", () => {
    expect(intToBase32(0, 7)).toBe("0000000");
    expect(intToBase32(32 ** 7 - 1, 7)).toBe("zzzzzzz");
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const text = intToBase32(value, 11);
        expect(text).toHaveLength(11);
        expect(base32ToInt(text)).toBe(value);
      }),
    );
  });

  it("what does not fit or is none is refused", () => {
    expect(() => intToBase32(32 ** 7, 7)).toThrow(RangeError);
    for (const value of [-1, 1.5, Number.NaN, 2 ** 53]) expect(() => intToBase32(value, 20)).toThrow(RangeError);
    for (const text of ["i", "l", "o", "u", "A", " 1", "é", "zzzzzzzzzzzzzzzz"])
      expect(base32ToInt(text), text).toBeUndefined();
  });
});

describe("base64url without padding", () => {
  it("comes back, as others write it", () => {
    fc.assert(
      fc.property(bytes, (input) => {
        const text = toBase64Url(input);
        expect(text).toBe(Buffer.from(input).toString("base64url"));
        expect(fromBase64Url(text)).toEqual(Uint8Array.from(input));
      }),
    );
  });

  it.each(["A", "AB=", "AB==", "A+", "A/", "A B", "AB\n", "QR", "QQ Q"])(
    "%j is not the one text of any bytes",
    (text) => {
      expect(parseBase64Url(text)).toBeUndefined();
      expect(() => fromBase64Url(text)).toThrow(RangeError);
    },
  );

  it("one value has one text", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...Array.from("ABCDwxyz0189-_=")), maxLength: 12 }), (text) => {
        const read = parseBase64Url(text);
        if (read !== undefined) expect(toBase64Url(read)).toBe(text);
      }),
    );
  });
});

describe("hexadecimal", () => {
  it("comes back in lower case", () => {
    fc.assert(
      fc.property(bytes, (input) => {
        expect(toHex(input)).toBe(Buffer.from(input).toString("hex"));
        expect(fromHex(toHex(input).toUpperCase())).toEqual(Uint8Array.from(input));
      }),
    );
  });

  it.each(["0", "0g", "0x00", " 00", "00\n"])("%j is none", (text) => {
    expect(() => fromHex(text)).toThrow(RangeError);
  });
});
