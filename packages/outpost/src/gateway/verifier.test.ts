import { describe, expect, test } from "vitest";
import { systemRandom } from "@cardea/connectors/postgres/fixture/system";
import type { ScramVerifier } from "@cardea/connectors/gateway";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { newVerifier, proves } from "./verifier.ts";

const standIn = systemRandom.bytes(32);
const known = { bytes: () => new Uint8Array(Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64")) };

describe("a verifier", () => {
  test("is what RFC 7677 computes", async () => {
    // Section 3: password "pencil", and the server's signature that its example ends with.
    const verifier = await newVerifier("pencil", known);
    expect(verifier.iterations).toBe(4_096);
    const { createHmac } = await import("node:crypto");
    const text =
      "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const signature = createHmac("sha256", Buffer.from(verifier.serverKey, "base64url")).update(text).digest("base64");
    expect(signature).toBe("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  });

  test("tells its secret from every other", async () => {
    const verifier = await newVerifier("cardea_right", systemRandom);
    expect(await proves({ kind: "secret", secret: "cardea_right" }, verifier, "key_1", standIn)).toBe(true);
    expect(await proves({ kind: "secret", secret: "cardea_wrong" }, verifier, "key_1", standIn)).toBe(false);
    expect(JSON.stringify(verifier)).not.toContain("right");
  });

  test("of a key that does not exist is the same each time, another for another name, and proves nothing", async () => {
    const shown: string[] = [];
    const prove = (verifier: ScramVerifier): Promise<boolean> => {
      shown.push(`${String(verifier.iterations)} ${toBase64Url(verifier.salt)}`);
      return Promise.resolve(true);
    };
    for (const name of ["key_1", "key_1", "key_2"])
      expect(await proves({ kind: "scram", prove }, undefined, name, standIn)).toBe(false);
    expect(shown[0]).toBe(shown[1]);
    expect(shown[0]).not.toBe(shown[2]);
    expect(shown[0]).toMatch(/^4096 .{22}$/);
  });
});
