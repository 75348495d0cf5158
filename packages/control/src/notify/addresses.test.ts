import { expect, test } from "vitest";
import { parseCidr } from "@cardea/core/lib/cidr";
import { checkWebhookUrl, guardedLookup, mayCall } from "./addresses.ts";

const https = new URL("https://hooks.example");
const http = new URL("http://localhost:8080");

test.each([
  "https://hooks.example/x",
  "https://10.0.0.5/x",
  "http://127.0.0.1:9000/",
  "http://localhost/",
  "http://[::1]:8080/",
])("notifications may go to %s", (url) => {
  expect(checkWebhookUrl(url).href).toBe(new URL(url).href);
});

test.each([
  "hooks.example",
  "ftp://hooks.example",
  "file:///etc/passwd",
  "http://hooks.example/",
  "http://10.0.0.5/",
  "http://localhost.example/",
  "https://user:password@hooks.example/",
  "https://169.254.169.254/latest/meta-data",
  "https://2852039166/",
  "https://0xa9fea9fe/",
  "https://[fe80::1]/",
  "https://[::ffff:169.254.169.254]/",
  "https://[fd00:ec2::254]/",
  "https://0.0.0.0/",
  "https://224.0.0.1/",
])("notifications may not go to %s", (url) => {
  expect(() => checkWebhookUrl(url)).toThrow(expect.objectContaining({ code: "invalid_request" }));
});

test("what a name resolves to is judged when it is called", () => {
  expect(["203.0.113.7", "10.1.2.3", "2001:db8::1", "127.0.0.1"].map((address) => mayCall(https, address, []))).toEqual(
    [true, true, true, true],
  );
  const bad = [
    "169.254.169.254",
    "fe80::1%eth0",
    "::ffff:169.254.1.1",
    "fd00:ec2::254",
    "0.0.0.0",
    "::",
    "255.255.255.255",
    "64:ff9b::a9fe:a9fe",
    "100.100.100.200",
    "not an address",
  ];
  expect(bad.map((address) => mayCall(https, address, []))).toEqual(bad.map(() => false));
  expect(["127.0.0.1", "::1", "10.0.0.1", "203.0.113.7"].map((address) => mayCall(http, address, []))).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test("a network may be allowed by setting", () => {
  const linkLocal = parseCidr("169.254.10.0/24");
  if (linkLocal === undefined) throw new Error("no network");
  expect(mayCall(https, "169.254.10.7", [linkLocal])).toBe(true);
  expect(mayCall(https, "169.254.169.254", [linkLocal])).toBe(false);
});

test("a lookup answers what may be called, in either form that a connection asks for", async () => {
  const lookup = guardedLookup(http, []);
  const one = await new Promise((resolve) =>
    lookup("127.0.0.1", {}, (error, address, family) => resolve({ error, address, family })),
  );
  expect(one).toEqual({ error: null, address: "127.0.0.1", family: 4 });
  const all = await new Promise((resolve) =>
    lookup("127.0.0.1", { all: true }, (error, addresses) => resolve({ error, addresses })),
  );
  expect(all).toEqual({ error: null, addresses: [{ address: "127.0.0.1", family: 4 }] });
  const refused = await new Promise<Error | null>((resolve) =>
    guardedLookup(https, [])("169.254.169.254", {}, (error) => resolve(error)),
  );
  expect(refused?.message).toContain("where notifications may not go");
});
