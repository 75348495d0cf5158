import { describe, expect, it } from "vitest";
import { challengeDigest, enrolmentDigest } from "@cardea/core/wire/api/sign-in";
import { toTime } from "@cardea/core/documents/primitives";
import { fromBase64Url } from "@cardea/core/lib/base64url";
import { ed25519Verify } from "@cardea/core/lib/crypto";
import { CardeaClient } from "./client.ts";
import { deviceKey, enrolKey, signInWith } from "./device-key.ts";

const credential = `crd_${"0".repeat(26)}`;
const subject = `sub_${"0".repeat(26)}`;
const key = deviceKey(new Uint8Array(32).fill(7));

/** A client whose server answers by path, and what it was sent. */
function answering(answers: Readonly<Record<string, unknown>>) {
  const sent: Record<string, unknown>[] = [];
  const fetch: typeof globalThis.fetch = (url, init) => {
    sent.push(JSON.parse(init?.body as string) as Record<string, unknown>);
    return Promise.resolve(new Response(JSON.stringify(answers[new URL(url as URL).pathname])));
  };
  return { client: new CardeaClient({ baseUrl: "https://cardea.example", fetch }), sent };
}

const challenge = (over: object = {}) => ({
  v: 1 as const,
  origin: "https://cardea.example",
  credential,
  nonce: "n",
  expiresAt: toTime(Date.UTC(2026, 0, 1)),
  ...over,
});
const signedIn = { token: "t", expiresAt: toTime(Date.UTC(2026, 0, 1)), subject, name: "alice" };
const verifies = (signature: unknown, digest: string) =>
  ed25519Verify(fromBase64Url(key.publicKey), new TextEncoder().encode(digest), fromBase64Url(signature as string));

describe("a device key", () => {
  it("signs the challenge that it was given", async () => {
    const { client, sent } = answering({ "/v1/sign-ins/challenges": challenge(), "/v1/sign-ins": signedIn });
    expect(await signInWith(client, credential, key.sign, "https://cardea.example")).toEqual(signedIn);
    expect(
      verifies(sent[1]?.["signature"], challengeDigest(challenge() as Parameters<typeof challengeDigest>[0])),
    ).toBe(true);
  });

  it.each([
    ["of another control plane", { origin: "https://cardea.example.org" }],
    ["for another credential", { credential: `crd_${"1".repeat(26)}` }],
  ])("signs no challenge %s", async (_name, over) => {
    const { client, sent } = answering({ "/v1/sign-ins/challenges": challenge(over), "/v1/sign-ins": signedIn });
    await expect(signInWith(client, credential, key.sign, "https://cardea.example")).rejects.toMatchObject({
      code: "challenge_invalid",
    });
    expect(sent).toHaveLength(1);
  });

  it("binds itself to the invitation that it spends", async () => {
    const { client, sent } = answering({ "/v1/enrolments": { subject, name: "alice", credential } });
    await enrolKey(client, "invitation", { kind: "device", publicKey: key.publicKey }, key.sign);
    expect(verifies(sent[0]?.["signature"], enrolmentDigest("invitation", key))).toBe(true);
    expect(verifies(sent[0]?.["signature"], enrolmentDigest("another", key))).toBe(false);
  });
});
