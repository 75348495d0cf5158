import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { durationMs, formatDuration, maxDurationMs, parseDuration } from "./duration.ts";

describe("durations", () => {
  it.each([
    ["90s", 90_000],
    ["15m", 900_000],
    ["4h", 14_400_000],
    ["2d", 172_800_000],
    ["366d", maxDurationMs],
    ["8784h", maxDurationMs],
  ])("%s", (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });

  it.each(["", "0s", "05m", "1.5h", "-1h", "1h30m", "1H", "1 h", " 1h", "1h\n", "h", "1w", "367d", "99999999s", "１h"])(
    "%j is none",
    (text) => {
      const parsed = parseDuration(text);
      expect(parsed.ok || parsed.code).toBe("invalid_duration");
      expect(() => durationMs(text)).toThrow(TypeError);
    },
  );

  it("are written as short as they can be, and come back", () => {
    expect([60_000, 90_000, 3_600_000, 86_400_000, 90_000_000, 1_999, 0].map(formatDuration)).toEqual([
      "1m",
      "90s",
      "1h",
      "1d",
      "25h",
      "1s",
      "0s",
    ]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9_999_999 }), (seconds) => {
        expect(durationMs(formatDuration(seconds * 1_000))).toBe(seconds * 1_000);
      }),
    );
  });
});
