import type { CardeaClient } from "@cardea/sdk/client";
import type { KeyInHand } from "@cardea/testing/key-in-hand";

/** Gives keys back, and waits until nothing of them is left. @throws Error where one does not end */
export async function releaseAll(client: CardeaClient, keys: readonly Pick<KeyInHand, "grant">[]): Promise<void> {
  await Promise.all(keys.map(({ grant }) => client.release(grant)));
  for (const { grant } of keys) {
    let { state } = await client.grant(grant);
    for (let turn = 0; state === "active" || state === "ending"; turn += 1) {
      if (turn === 20) throw new Error(`${grant} is still ${state}`);
      ({ state } = await client.grant(grant, { wait: 5, since: state }));
    }
    if (state !== "ended") throw new Error(`${grant} is ${state}, not ended`);
  }
}
