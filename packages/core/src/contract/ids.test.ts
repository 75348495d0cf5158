import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { manualClock } from "../lib/clock.ts";
import { GrantId, idPrefixes, newId, RequestId, SubjectId, type IdKind } from "./ids.ts";

const random = (fill: number) => ({ bytes: (length: number) => new Uint8Array(length).fill(fill) });

describe("ids", () => {
  it("are a prefix and a UUIDv7 in base 32: golden", () => {
    // 018f3c3a-5b7c-7fff-bfff-ffffffffffff
    expect(newId("request", manualClock(0x018f3c3a5b7c), random(0xff))).toBe("req_067krejvfhzzzfzzzzzzzzzzzw");
    expect(newId("grant", manualClock(0), random(0))).toBe("gra_0000000001r010000000000000");
  });

  it("of every kind have the form that their own schema accepts, and no other's", () => {
    const id = newId("subject", manualClock(1), random(7));
    expect(SubjectId.safeParse(id).success).toBe(true);
    expect(RequestId.safeParse(id).success).toBe(false);
    // The table's own keys.
    for (const kind of Object.keys(idPrefixes) as IdKind[])
      expect(newId(kind, manualClock(1), random(1))).toMatch(
        new RegExp(`^${idPrefixes[kind]}_[0-9a-hjkmnp-tv-z]{26}$`),
      );
  });

  it("have prefixes that differ", () => {
    expect(new Set(Object.values(idPrefixes)).size).toBe(Object.keys(idPrefixes).length);
  });

  it("sort by the time of their making", () => {
    const ms = fc.integer({ min: 0, max: 2 ** 48 - 1 });
    fc.assert(
      fc.property(ms, ms, fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 255 }), (a, b, x, y) => {
        const [one, other] = [newId("event", manualClock(a), random(x)), newId("event", manualClock(b), random(y))];
        if (a < b) expect(one < other).toBe(true);
      }),
    );
  });

  it("carry version 7 and the variant of RFC 9562 whatever the randomness", () => {
    for (const fill of [0, 0x55, 0xaa, 0xff]) {
      const body = newId("run", manualClock(0), random(fill)).slice(4);
      // Bits 48 to 51 are the version: the low two bits of the tenth character and the high two of the eleventh.
      const bits = [...body]
        .map((char) => "0123456789abcdefghjkmnpqrstvwxyz".indexOf(char).toString(2).padStart(5, "0"))
        .join("");
      expect(bits.slice(48, 52)).toBe("0111");
      expect(bits.slice(64, 66)).toBe("10");
    }
  });

  it.each([
    "",
    "gra_",
    "gra_0",
    `gra_${"0".repeat(25)}`,
    `gra_${"0".repeat(27)}`,
    `gra_${"u".repeat(26)}`,
    `gra_${"A".repeat(26)}`,
    `GRA_${"0".repeat(26)}`,
    `gra_${"0".repeat(26)}\n`,
    ` gra_${"0".repeat(26)}`,
  ])("%j is none", (text) => {
    expect(GrantId.safeParse(text).success).toBe(false);
  });
});
