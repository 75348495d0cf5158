/**
 * The second half of a key: from the key in hand to the answer to a first query through the gateway, which proves the secret, asks whether the
 * grant still stands, makes a login for the session, signs in with that, and judges the statement. Beside it, in turns, a login that is there
 * already, without anybody in between.
 */
import { Client, type ClientConfig } from "pg";
import type { CardeaClient } from "@cardea/sdk/client";
import type { KeyInHand } from "@cardea/testing/key-in-hand";
import type { WholeStack } from "@cardea/testing/whole-stack";
import { directDoor, doorOf, obtainGatewayKey, type GatewayKey } from "../gateway/ground.ts";

export interface FirstQueries {
  /** Encrypted, as the key says. */
  readonly tlsMs: readonly number[];
  /** In the clear, which a gateway allows on its own machine. */
  readonly clearMs: readonly number[];
  /** Directly, in the clear. */
  readonly peerMs: readonly number[];
}

/** One at a time, each with a key of its own; the keys are given back by the caller's `release`, unmeasured. */
export async function measureFirstQueries(
  whole: WholeStack,
  client: CardeaClient,
  turns: number,
  release: (keys: readonly Pick<KeyInHand, "grant">[]) => Promise<void>,
  signal: AbortSignal,
): Promise<FirstQueries> {
  const [tlsMs, clearMs, peerMs]: [number[], number[], number[]] = [[], [], []];
  const direct = directDoor(whole);
  for (let turn = 0; turn < turns && !signal.aborted; turn += 1) {
    const keys: GatewayKey[] = [await obtainGatewayKey(client, "read"), await obtainGatewayKey(client, "read")];
    const [first, second] = keys;
    if (first !== undefined)
      tlsMs.push(await firstQueryMs({ ...doorOf(first.key), ssl: { ca: String(first.key.endpoint["ca"]) } }));
    if (second !== undefined) clearMs.push(await firstQueryMs(doorOf(second.key)));
    peerMs.push(await firstQueryMs(direct));
    await release(keys);
  }
  return { tlsMs, clearMs, peerMs };
}

async function firstQueryMs(config: ClientConfig): Promise<number> {
  const client = new Client(config);
  const startedMs = performance.now();
  await client.connect();
  await client.query("select id, status from orders where id = 4711");
  const tookMs = performance.now() - startedMs;
  await client.end();
  return tookMs;
}
