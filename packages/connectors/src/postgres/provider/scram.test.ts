import { describe, expect, test } from "vitest";
import { fromBase64 } from "@cardea/core/lib/base64";
import { newLoginSecret, scramVerifier } from "./scram.ts";

describe("verifiers", () => {
  // RFC 7677, section 3: user `user`, password `pencil`; the keys follow from the exchange published there.
  test("are those of RFC 7677's example", async () => {
    const salt = fromBase64("W22ZaJ0SNY7soEsUEjb6gQ==");
    if (salt === undefined) throw new Error("base 64");
    expect(await scramVerifier("pencil", salt, 4_096)).toBe(
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
    );
  });

  test("secrets are 256 random bits, and neither they nor the salt are used twice", async () => {
    let next = 0;
    const lengths: number[] = [];
    const random = {
      bytes: (length: number) => {
        lengths.push(length);
        return new Uint8Array(length).fill(next++);
      },
    };
    const [first, second] = [await newLoginSecret(random), await newLoginSecret(random)];
    expect(lengths).toEqual([32, 16, 32, 16]);
    expect(first.secret).toHaveLength(43);
    expect(first.secret).not.toBe(second.secret);
    expect(first.verifier).not.toContain(first.secret);
  });
});
