import fc from "fast-check";
import { describe, expect, it } from "vitest";
import vectors from "./native-name.vectors.json" with { type: "json" };
import { fromHex } from "../lib/hex.ts";
import { bundleName, nativeNameLength, newNativeName, readNativeName } from "./native-name.ts";

const key = new Uint8Array(32).fill(1);
const otherKey = new Uint8Array(32).fill(2);
const random = (bytes: Uint8Array) => ({ bytes: (length: number) => bytes.slice(0, length) });

describe("published vectors", () => {
  it.each(vectors.logins)("login $name", ({ markKey, random: hex, deadlineMs, name }) => {
    expect(newNativeName(fromHex(markKey), deadlineMs, random(fromHex(hex)))).toEqual({ name, deadlineMs });
    expect(readNativeName(fromHex(markKey), name)).toEqual({ kind: "ours", name, deadlineMs });
  });

  it.each(vectors.bundles)("bundle $name", ({ markKey, purpose, permissions, name }) => {
    expect(bundleName(fromHex(markKey), purpose, permissions)).toEqual({ name, deadlineMs: 0 });
  });
});

describe("a native name", () => {
  it("is read back by its own key alone", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 7, maxLength: 7 }),
        fc.integer({ min: 1, max: 34_359_738_367 }),
        (bytes, seconds) => {
          const { name, deadlineMs } = newNativeName(key, seconds * 1_000, random(bytes));
          expect(name).toHaveLength(nativeNameLength);
          expect(name).toMatch(/^cardea_[0-9a-hjkmnp-tv-z]{25}$/);
          expect(deadlineMs).toBe(seconds * 1_000);
          expect(readNativeName(key, name)).toEqual({ kind: "ours", name, deadlineMs });
          expect(readNativeName(otherKey, name)).toEqual({ kind: "forged" });
        },
      ),
    );
  });

  it("rounds the deadline up, so that it never ends before the grant", () => {
    expect(newNativeName(key, 1_001, random(new Uint8Array(7))).deadlineMs).toBe(2_000);
  });

  it("with any character changed is forged or foreign, never ours", () => {
    const { name } = newNativeName(key, 1_800_000_000_000, random(new Uint8Array(7).fill(9)));
    for (let at = 0; at < name.length; at++) {
      for (const char of "0z") {
        if (name[at] === char) continue;
        const bent = name.slice(0, at) + char + name.slice(at + 1);
        expect(readNativeName(key, bent).kind, bent).toBe(at < 7 ? "foreign" : "forged");
      }
    }
  });

  it.each([
    "",
    "postgres",
    "cardea_",
    "cardea_admin",
    `cardea_${"0".repeat(24)}`,
    `cardea_${"0".repeat(26)}`,
    `cardea_${"U".repeat(25)}`,
    `Cardea_${"0".repeat(25)}`,
    `cardea_${"0".repeat(25)}\n`,
  ])("%j is foreign", (name) => {
    expect(readNativeName(key, name).kind).toBe("foreign");
  });
});

describe("a bundle's name", () => {
  it("is the same for the same purpose and permissions, and differs with either, with the key, and with where one ends", () => {
    const names = [
      bundleName(key, "role", "a"),
      bundleName(key, "role", "b"),
      bundleName(key, "holder", "a"),
      bundleName(otherKey, "role", "a"),
      bundleName(key, "rolea", ""),
      bundleName(key, "", "rolea"),
    ].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(bundleName(key, "role", "a").name).toBe(names[0]);
    expect(readNativeName(key, names[0] ?? "")).toMatchObject({ kind: "ours", deadlineMs: 0 });
  });
});
