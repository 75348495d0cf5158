import fc from "fast-check";
import { BlockList, isIP } from "node:net";
import { describe, expect, it } from "vitest";
import { cidrContains, parseCidr } from "./cidr.ts";

const contains = (outer: string, inner: string): boolean | undefined => {
  const [a, b] = [parseCidr(outer), parseCidr(inner)];
  return a === undefined || b === undefined ? undefined : cidrContains(a, b);
};

describe("what is a network", () => {
  it.each([
    "10.0.0.0/8",
    "10.1.2.3",
    "0.0.0.0/0",
    "255.255.255.255/32",
    "::/0",
    "::",
    "::1",
    "2001:db8::/32",
    "2001:DB8::1",
    "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7::",
    "::2:3:4:5:6:7:8",
    "::ffff:10.0.0.1",
    "64:ff9b::192.0.2.33",
  ])("%s", (text) => {
    expect(parseCidr(text)).toBeDefined();
  });

  it.each([
    "",
    " ",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "10.0.0.1/8",
    "10.0.0",
    "10.0.0.0.0",
    "010.0.0.1",
    "256.0.0.1",
    "1e1.0.0.1",
    "0x0a.0.0.1",
    "10.0.0.1 ",
    "10,0,0,1",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "g::",
    "::1%eth0",
    "2001:db8::1/32",
    "::/129",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::ffff:10.0.0.0/104",
  ])("%j is none", (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });
});

describe("containing", () => {
  it.each([
    ["10.0.0.0/8", "10.1.2.3", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["10.0.0.0/8", "10.0.0.0/7", false],
    ["10.0.0.0/8", "0.0.0.0/0", false],
    ["0.0.0.0/0", "10.0.0.0/8", true],
    ["0.0.0.0/0", "::1", false],
    ["::/0", "10.0.0.1", false],
    ["::/0", "2001:db8::1", true],
    ["2001:db8::/32", "2001:db8:ffff::/48", true],
    ["2001:db8::/32", "2001:db9::", false],
    ["10.0.0.0/8", "::ffff:10.1.2.3", true],
    ["10.0.0.1", "10.0.0.1/32", true],
  ])("%s has %s: %s", (outer, inner, expected) => {
    expect(contains(outer, inner)).toBe(expected);
  });
});

describe("held against Node's own", () => {
  const v4 = fc.ipV4();
  const v6 = fc.ipV6();
  it("reads every address it reads, and no text that it does not", () => {
    fc.assert(
      fc.property(
        fc.oneof(v4, v6, fc.string({ unit: fc.constantFrom(...Array.from("0123456789abcf:..:")), maxLength: 20 })),
        (text) => {
          expect(parseCidr(text) !== undefined).toBe(isIP(text) !== 0);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it("agrees on what lies in what", () => {
    fc.assert(
      fc.property(v4, fc.integer({ min: 0, max: 32 }), v4, (address, prefix, other) => {
        const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
        const base = prefix === 0 ? 0 : (number >>> (32 - prefix)) * 2 ** (32 - prefix);
        const network = [24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join(".");
        const list = new BlockList();
        list.addSubnet(network, prefix, "ipv4");
        expect(contains(`${network}/${String(prefix)}`, other)).toBe(list.check(other, "ipv4"));
        expect(contains(`${network}/${String(prefix)}`, address)).toBe(true);
      }),
    );
  });
});
