import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hpkeInfo, resultInfo, type DeliveredKey } from "@cardea/core/wire/delivery";
import { toTime } from "@cardea/core/documents/primitives";
import { newDeliveryKey, openSealedKey, openSealedResult, sealTo } from "./delivery-key.ts";

const grant = `sha256:${"ab".repeat(32)}`;
const key: DeliveredKey = {
  via: "direct",
  kind: "postgres",
  user: "cardea_x",
  secret: "s3cret",
  endpoint: { host: "db.internal", port: 5432, databases: ["orders"] },
  notAfter: toTime(Date.UTC(2026, 0, 1)),
};
const bytes = new TextEncoder().encode(JSON.stringify(key));
const lost = expect.objectContaining({ code: "key_lost" }) as unknown;

describe("a delivery key", () => {
  it("opens what was sealed to it for this grant", async () => {
    const mine = await newDeliveryKey();
    expect(await openSealedKey(await sealTo(mine.publicKey, bytes, grant, hpkeInfo), mine.privateKey, grant)).toEqual(
      key,
    );
  });

  it("has the sizes that a request asks for, and is another each time", async () => {
    const [one, other] = await Promise.all([newDeliveryKey(), newDeliveryKey()]);
    expect([one.publicKey.length, one.privateKey.length]).toEqual([87, 43]);
    expect(one.publicKey).not.toBe(other.publicKey);
  });

  it("opens nothing that was sealed to another", async () => {
    const [mine, theirs] = await Promise.all([newDeliveryKey(), newDeliveryKey()]);
    await expect(
      openSealedKey(await sealTo(theirs.publicKey, bytes, grant, hpkeInfo), mine.privateKey, grant),
    ).rejects.toEqual(lost);
  });

  it("opens nothing that was sealed for another grant or another purpose", async () => {
    const mine = await newDeliveryKey();
    const sealed = await sealTo(mine.publicKey, bytes, grant, hpkeInfo);
    await expect(openSealedKey(sealed, mine.privateKey, `sha256:${"cd".repeat(32)}`)).rejects.toEqual(lost);
    await expect(
      openSealedKey(await sealTo(mine.publicKey, bytes, grant, "cardea/configure/v1"), mine.privateKey, grant),
    ).rejects.toEqual(lost);
  });

  it("notices every changed character", async () => {
    const mine = await newDeliveryKey();
    const sealed = await sealTo(mine.publicKey, bytes, grant, hpkeInfo);
    const field = fc.constantFrom("enc" as const, "ciphertext" as const);
    await fc.assert(
      fc.asyncProperty(field, fc.nat(), async (name, place) => {
        const text = sealed[name];
        const at = place % text.length;
        const other = text[at] === "A" ? "B" : "A";
        const changed = { ...sealed, [name]: text.slice(0, at) + other + text.slice(at + 1) };
        await expect(openSealedKey(changed, mine.privateKey, grant)).rejects.toEqual(lost);
      }),
      { numRuns: 60 },
    );
  });

  it("opens an action's answer, and takes neither a key for an answer nor an answer for a key", async () => {
    const mine = await newDeliveryKey();
    const answer = JSON.stringify({
      columns: [{ name: "n", type: "int4" }],
      rows: [["7"], [null]],
      command: "SELECT 2",
    });
    const sealed = await sealTo(mine.publicKey, new TextEncoder().encode(answer), grant, resultInfo);
    expect(await openSealedResult(sealed, mine.privateKey, grant)).toBe(answer);
    await expect(openSealedKey(sealed, mine.privateKey, grant)).rejects.toEqual(lost);
    await expect(openSealedResult(sealed, mine.privateKey, `sha256:${"cd".repeat(32)}`)).rejects.toEqual(lost);
    const asKey = await sealTo(mine.publicKey, bytes, grant, hpkeInfo);
    await expect(openSealedResult(asKey, mine.privateKey, grant)).rejects.toEqual(lost);
  });
});
