import { describe, expect, it } from "vitest";
import { sampleAsked, sampleGrantId, sampleTime } from "../policy/samples.ts";
import { ed25519PublicKey } from "../lib/crypto.ts";
import { toBase64Url } from "../lib/base64url.ts";
import { AuditLeaf, commitTo, leafBytes, opensCommitment } from "./audit-leaf.ts";
import { digestOf } from "./digest.ts";
import { keyIdOf } from "./grant.ts";
import { ActionName, Pattern } from "./pattern.ts";
import { Cidr, Duration, Name, plainText, Time, timeMs, toPlainText, toTime } from "./primitives.ts";
import { Asked, askedRole, Facts } from "./request.ts";
import { anyVerifies, signDigest, Signature, verifyDigest } from "./signature.ts";
import { Narrowing } from "./vote.ts";

const takes = (schema: { safeParse(value: unknown): { success: boolean } }, value: unknown): boolean =>
  schema.safeParse(value).success;

describe("times", () => {
  it.each(["2026-02-28T23:59:59.999Z", "2028-02-29T00:00:00.000Z", "2099-12-31T00:00:00.000Z"])("%s", (text) => {
    expect(takes(Time, text)).toBe(true);
    expect(toTime(timeMs(Time.parse(text)))).toBe(text);
  });

  it.each([
    "2026-02-30T00:00:00.000Z",
    "2026-02-29T00:00:00.000Z",
    "2026-04-31T00:00:00.000Z",
    "2026-01-01T24:00:00.000Z",
    "2026-13-01T00:00:00.000Z",
    "2026-00-10T00:00:00.000Z",
    "2026-01-00T00:00:00.000Z",
    "2026-01-01T00:00:60.000Z",
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.0000Z",
    "2026-01-01T00:00:00.000z",
    "2026-01-01T00:00:00.000+00:00",
    "2026-01-01 00:00:00.000Z",
    "1999-01-01T00:00:00.000Z",
    "2026-01-01T00:00:00.000Z\n",
    "",
  ])("%j is none", (text) => {
    expect(takes(Time, text)).toBe(false);
  });

  it("sort as text by time", () => {
    expect(toTime(1_000_000_000_000) < toTime(1_000_000_000_001)).toBe(true);
  });
});

describe("names, durations, addresses", () => {
  it.each(["a", "prod-orders", "owners.of_orders", "0", "a".repeat(63)])("name %s", (text) => {
    expect(takes(Name, text)).toBe(true);
  });

  it.each(["", "A", "-a", "a-", ".a", "a b", "ä", "a".repeat(64), "a\n", "a/b", "__proto__"])(
    "%j is no name",
    (text) => {
      expect(takes(Name, text)).toBe(false);
    },
  );

  it("are checked where they stand", () => {
    expect([takes(Duration, "4h"), takes(Duration, "4"), takes(Cidr, "10.0.0.0/8"), takes(Cidr, "10.0.0.1/8")]).toEqual(
      [true, false, true, false],
    );
  });
});

describe("text that people wrote", () => {
  it("keeps what languages need: accents, emoji and their joiners, line breaks", () => {
    for (const text of ["Café\n\tnächste Zeile", "👩‍👩‍👧", "می‌خواهم", "שלום", "日本"])
      expect(takes(plainText(100), text), text).toBe(true);
  });

  it.each([
    "\u0000",
    "\u001b[2J",
    "\r",
    "\u007f",
    "\u009b",
    "\u061c",
    "\u200b",
    "\u200e",
    "\u2028",
    "\u202e",
    "\u2066",
    "\ufeff",
    "\u{e0041}",
    "\ud800",
  ])("refuses %j, which hides, reorders or commands", (text) => {
    expect(takes(plainText(100), `a${text}b`)).toBe(false);
    expect(takes(plainText(100), toPlainText(`a${text}b`, 100))).toBe(true);
  });

  it("is cut without leaving half a character", () => {
    expect(toPlainText("ab🔑", 3).isWellFormed()).toBe(true);
    expect(toPlainText("ab🔑", 3)).toHaveLength(3);
  });
});

describe("actions and patterns", () => {
  it.each([
    ["sql.select", true],
    ["sql.*", true],
    ["sql.ddl.*", true],
    ["*", false],
    ["sql.", false],
    ["sql.*.x", false],
    ["Sql.select", false],
    ["sql..x", false],
    ["", false],
  ])("%j: %s", (name, expected) => {
    expect(takes(ActionName, name)).toBe(expected);
  });

  it("a facet without values, a flag that is false and an unknown matcher are refused", () => {
    const withFacet = (facet: unknown): boolean => takes(Pattern, { name: "sql.select", facets: { tables: facet } });
    expect(withFacet({ matcher: "names", values: ["a.b"] })).toBe(true);
    expect(withFacet({ matcher: "names", values: [] })).toBe(false);
    expect(withFacet({ matcher: "flag", value: false })).toBe(false);
    expect(withFacet({ matcher: "regex", values: ["a"] })).toBe(false);
    expect(takes(Pattern, { name: "sql.select", facets: { __proto__x: { matcher: "flag", value: true } } })).toBe(
      false,
    );
  });
});

describe("what is asked", () => {
  it("is a role or one exact action, never both or neither", () => {
    const action = { type: "sql", name: "sql.select", what: {} };
    expect(takes(Asked, sampleAsked())).toBe(true);
    expect(takes(Asked, { ...sampleAsked(), ask: { action } })).toBe(true);
    expect(takes(Asked, { ...sampleAsked(), ask: { role: "read", action } })).toBe(false);
    expect(takes(Asked, { ...sampleAsked(), ask: {} })).toBe(false);
    expect([askedRole({ role: "read" }), askedRole({ action })]).toEqual(["read", undefined]);
  });

  it.each<[string, object]>([
    ["break-glass set to false", { breakGlass: false }],
    ["an empty list of addresses, which would be nowhere or everywhere", { limits: { sourceIps: [] } }],
    ["no session at all", { limits: { sessions: 0 } }],
    ["half a use", { limits: { uses: 1.5 } }],
    ["a duration of nothing", { window: { duration: "0s" } }],
    ["another way", { via: "proxy" }],
    ["a delivery key of another length", { deliverTo: "AAAA" }],
    ["a requester who is no subject", { requester: { id: sampleGrantId(1), kind: "human" } }],
  ])("refuses %s", (_, over) => {
    expect(takes(Asked, { ...sampleAsked(), ...over })).toBe(false);
  });

  it("facts are labelled: nothing asserted can stand among the verified by its form alone", () => {
    expect(takes(Facts, { verified: { groups: [], claims: {}, reviewsOwed: [] }, asserted: {} })).toBe(true);
    expect(takes(Facts, { verified: { groups: [], claims: {} }, asserted: {} })).toBe(false);
    expect(takes(Facts, { verified: { groups: [], claims: {}, reviewsOwed: [] }, asserted: {}, other: {} })).toBe(
      false,
    );
  });

  it("a narrowing cannot be to nothing by an empty list", () => {
    expect([takes(Narrowing, {}), takes(Narrowing, { permissions: [] }), takes(Narrowing, { sourceIps: [] })]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

it("a grant's key has its id under its own prefix", () => {
  expect(keyIdOf(sampleGrantId(7))).toBe(`key_${"7".padStart(26, "0")}`);
});

describe("signatures beside a document", () => {
  const seed = new Uint8Array(32).fill(3);
  const publicKey = ed25519PublicKey(seed);
  const digest = digestOf("vote", { a: 1 });
  const signature = signDigest("control", "key-1", seed, digest);

  it("verify under their key, kind and digest alone", () => {
    expect(takes(Signature, signature)).toBe(true);
    expect(verifyDigest(signature, "control", publicKey, digest)).toBe(true);
    expect(verifyDigest(signature, "root", publicKey, digest)).toBe(false);
    expect(verifyDigest(signature, "control", ed25519PublicKey(new Uint8Array(32).fill(4)), digest)).toBe(false);
    expect(verifyDigest(signature, "control", publicKey, digestOf("vote", { a: 2 }))).toBe(false);
    expect(verifyDigest(signature, "control", publicKey, digestOf("grant", { a: 1 }))).toBe(false);
  });

  it("of bytes that have no one text are refused, not a fault", () => {
    const bent = { kind: "control" as const, credential: "key-1", signature: `${"A".repeat(85)}B` };
    expect(takes(Signature, bent)).toBe(true);
    expect(verifyDigest(bent, "control", publicKey, digest)).toBe(false);
  });

  it("one valid among several is enough, none is not", () => {
    const other = signDigest("control", "key-2", new Uint8Array(32).fill(4), digest);
    expect(anyVerifies([other, signature], "control", publicKey, digest)).toBe(true);
    expect(anyVerifies([other], "control", publicKey, digest)).toBe(false);
    expect(anyVerifies(undefined, "control", publicKey, digest)).toBe(false);
  });
});

describe("audit leaves", () => {
  const salt = new Uint8Array(32).fill(5);
  const data = { who: "Ann" };
  const leaf = AuditLeaf.parse({
    v: 1,
    at: sampleTime,
    type: "request.submitted",
    ids: { request: "req_x" },
    commitment: commitTo(salt, data),
  });

  it("open to their data and salt alone", () => {
    expect(opensCommitment(leaf, toBase64Url(salt), data)).toBe(true);
    expect(opensCommitment(leaf, toBase64Url(salt), { who: "Bob" })).toBe(false);
    expect(opensCommitment(leaf, toBase64Url(new Uint8Array(32)), data)).toBe(false);
    expect(opensCommitment(leaf, "not base64url!", data)).toBe(false);
  });

  it("hold no personal data and know only listed types", () => {
    expect(new TextDecoder().decode(leafBytes(leaf))).not.toContain("Ann");
    expect(takes(AuditLeaf, { ...leaf, type: "request.invented" })).toBe(false);
    expect(takes(AuditLeaf, { ...leaf, data })).toBe(false);
  });
});
