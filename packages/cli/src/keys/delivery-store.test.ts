import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RequestId } from "@cardea/core/contract/ids";
import { findDeliveryKey, forgetDeliveryKey, makeDeliveryKey } from "./delivery-store.ts";

const request = RequestId.parse(`req_${"0".repeat(26)}`);
let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "cardea-home-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

describe("the private halves of delivery keys", () => {
  it("are found by their public halves, for their owner alone, until they are forgotten", async () => {
    const [one, other] = [await makeDeliveryKey(home), await makeDeliveryKey(home)];
    expect(await findDeliveryKey(home, one.publicKey, request)).toEqual(one);
    for (const name of await readdir(join(home, "delivery")))
      expect((await stat(join(home, "delivery", name))).mode & 0o777).toBe(0o600);
    await forgetDeliveryKey(home, one.publicKey);
    await expect(findDeliveryKey(home, one.publicKey, request)).rejects.toMatchObject({ code: "key_lost" });
    expect(await findDeliveryKey(home, other.publicKey, request)).toEqual(other);
  });

  it("are lost where the file is damaged, and never mistaken for another", async () => {
    const one = await makeDeliveryKey(home);
    const [name = ""] = await readdir(join(home, "delivery"));
    await writeFile(join(home, "delivery", name), JSON.stringify({ publicKey: "another", privateKey: "x" }));
    await expect(findDeliveryKey(home, one.publicKey, request)).rejects.toMatchObject({ code: "key_lost" });
    await writeFile(join(home, "delivery", name), "{");
    await expect(findDeliveryKey(home, one.publicKey, request)).rejects.toMatchObject({ code: "key_lost" });
    await expect(findDeliveryKey(home, undefined, request)).rejects.toMatchObject({ code: "key_lost" });
  });
});
