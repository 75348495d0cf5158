import { expect, test } from "vitest";
import { randomBytes } from "node:crypto";
import { newId } from "@cardea/core/contract/ids";
import { digestOf } from "@cardea/core/documents/digest";
import { Configuration } from "@cardea/core/documents/configuration";
import { signDigest } from "@cardea/core/documents/signature";
import { ed25519PublicKey } from "@cardea/core/lib/crypto";
import { judgeAuthority, type AuthorityGround } from "./authority.ts";

const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)) };
const clock = { now: () => Date.now() };
const seed = random.bytes(32);
const resource = newId("resource", clock, random);
const self = newId("outpost", clock, random);
const sealed = { enc: "AAAA", ciphertext: "BBBB" };
const ground: AuthorityGround = { self, controlKey: ed25519PublicKey(seed), resource, known: undefined };

function document(change: Record<string, unknown> = {}): Configuration {
  const head = {
    v: 1,
    resource,
    name: "orders",
    outpost: self,
    version: 5,
    by: newId("subject", clock, random),
    at: "2026-03-02T10:30:00.000Z",
  };
  return Configuration.parse({
    ...head,
    ...("removed" in change ? {} : { content: digestOf("sealed", sealed) }),
    ...change,
  });
}

function signed(made: Configuration, by = seed, kind: "control" | "outpost" = "control") {
  return { document: made, signature: signDigest(kind, "key", by, digestOf("configuration", made)) };
}

const judge = (authority: ReturnType<typeof signed>, bytes = sealed, known?: AuthorityGround["known"]) =>
  judgeAuthority(authority, bytes, { ...ground, known });

test("what the control plane signed is believed, and again when it is repeated", () => {
  const authority = signed(document());
  const first = judge(authority);
  expect(first).toMatchObject({ ok: true, value: { known: { version: 5 } } });
  if (!first.ok) return;
  expect(judge(authority, sealed, first.value.known)).toEqual(first);
  expect(judge(signed(document({ version: 6 })), sealed, first.value.known)).toMatchObject({ ok: true });
});

test("a removal is believed without content only", () => {
  const authority = signed(document({ removed: true }));
  expect(judgeAuthority(authority, undefined, ground)).toMatchObject({ ok: true });
  expect(judge(authority)).toMatchObject({ ok: false, code: "configuration_invalid" });
  expect(judgeAuthority(signed(document()), undefined, ground)).toMatchObject({
    ok: false,
    code: "configuration_invalid",
  });
});

test.each([
  ["signed by another key", signed(document(), random.bytes(32)), /not signed/],
  ["signed as another kind of signer", signed(document(), seed, "outpost"), /not signed/],
  ["changed after it was signed", { ...signed(document()), document: document({ version: 6 }) }, /not signed/],
  [
    "signed as another type",
    { document: document(), signature: signDigest("control", "key", seed, digestOf("spec", document())) },
    /not signed/,
  ],
  ["for another outpost", signed(document({ outpost: newId("outpost", clock, random) })), /another outpost/],
  ["for another resource", signed(document({ resource: newId("resource", clock, random) })), /is not the id/],
  ["over other bytes", signed(document({ content: digestOf("sealed", { ...sealed, enc: "AAAB" }) })), /not the one/],
])("a configuration %s is refused", (_, authority, words) => {
  expect(judge(authority)).toMatchObject({
    ok: false,
    code: "configuration_invalid",
    detail: expect.stringMatching(words),
  });
});

test.each([
  ["older than what was seen", 4],
  ["of the same version and another content", 5],
])("a configuration %s is refused as stale", (_, version) => {
  const known = { version: 5, digest: digestOf("configuration", document({ removed: true })) };
  expect(judge(signed(document({ version })), sealed, known)).toMatchObject({ ok: false, code: "configuration_stale" });
});
