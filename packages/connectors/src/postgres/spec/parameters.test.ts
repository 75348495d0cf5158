import { expect, test } from "vitest";
import { readParameters } from "./parameters.ts";

const int16 = (value: number): number[] => [value >> 8, value & 0xff];
const int32 = (value: number): number[] => [...int16((value >> 16) & 0xffff), ...int16(value & 0xffff)];
const value = (...bytes: number[]): number[] => [...int32(bytes.length), ...bytes];
const none = int32(-1);
/** What stands behind the values in a Bind: the formats of results. */
const results = [...int16(1), ...int16(0)];

test.each<[string, number[], unknown]>([
  ["none", [...int16(0), ...int16(0), ...results], []],
  ["texts and nothing", [...int16(0), ...int16(2), ...value(0x61, 0x62), ...none, ...results], ["ab", null]],
  [
    "one format for all",
    [...int16(1), ...int16(1), ...int16(2), ...value(0), ...value(7), ...results],
    [{ base64: "AA==" }, { base64: "Bw==" }],
  ],
  [
    "a format each",
    [...int16(2), ...int16(1), ...int16(0), ...int16(2), ...value(7), ...value(0x37), ...results],
    [{ base64: "Bw==" }, "7"],
  ],
  ["a text that is none", [...int16(0), ...int16(1), ...value(0xff), ...results], [{ base64: "/w==" }]],
])("%s", (_name, bytes, expected) => {
  expect(readParameters(Uint8Array.from([9, ...bytes]).subarray(1))).toEqual(expected);
});

test("cut anywhere before its last value's end, it is none", () => {
  const whole = [...int16(1), ...int16(0), ...int16(2), ...value(0x61), ...value(0x62, 0x63)];
  for (let length = 0; length < whole.length; length++)
    expect(readParameters(Uint8Array.from(whole.slice(0, length))), String(length)).toBeUndefined();
  expect(readParameters(Uint8Array.from(whole))).toEqual(["a", "bc"]);
  expect(readParameters(Uint8Array.from([...int16(0), ...int16(1), ...int32(-2)]))).toBeUndefined();
});
