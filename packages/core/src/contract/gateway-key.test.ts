import fc from "fast-check";
import { describe, expect, it } from "vitest";
import vectors from "./gateway-key.vectors.json" with { type: "json" };
import { fromHex } from "../lib/hex.ts";
import { isGatewayKey, newGatewayKey } from "./gateway-key.ts";

/** Gives the bytes one after another, and zeros from their end on. */
function bytesOf(bytes: Uint8Array) {
  let at = 0;
  return {
    bytes: (length: number) => {
      const part = new Uint8Array(length);
      part.set(bytes.slice(at, at + length));
      at += length;
      return part;
    },
  };
}

describe("published vectors", () => {
  it.each(vectors.keys)("key $key", ({ random, key }) => {
    expect(newGatewayKey(bytesOf(fromHex(random)))).toBe(key);
    expect(isGatewayKey(key)).toBe(true);
  });
});

describe("a gateway's key", () => {
  const key = newGatewayKey(bytesOf(new Uint8Array(30).fill(7)));

  it("has the form that scanners look for", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 60, maxLength: 60 }), (bytes) => {
        const made = newGatewayKey(bytesOf(bytes));
        expect(made).toMatch(/^cardea_[0-9A-Za-z]{36}$/);
        expect(isGatewayKey(made)).toBe(true);
      }),
    );
  });

  it("with any one character changed is none", () => {
    for (let at = 0; at < key.length; at++) {
      const other = key.charAt(at) === "A" ? "B" : "A";
      expect(isGatewayKey(key.slice(0, at) + other + key.slice(at + 1)), `at ${at}`).toBe(false);
    }
  });

  it.each(["", "cardea_", key.slice(1), key.slice(0, -1), `${key}0`, `${key}\n`, ` ${key}`, key.toUpperCase()])(
    "%j is none",
    (text) => {
      expect(isGatewayKey(text)).toBe(false);
    },
  );

  it("uses every character of its alphabet equally often, of all bytes that it takes", () => {
    const counts = new Map<string, number>();
    for (let byte = 0; byte < 248; byte++) {
      const character = newGatewayKey(bytesOf(new Uint8Array(30).fill(byte))).charAt("cardea_".length);
      counts.set(character, (counts.get(character) ?? 0) + 1);
    }
    expect(counts.size).toBe(62);
    expect(new Set(counts.values())).toEqual(new Set([4]));
  });
});
