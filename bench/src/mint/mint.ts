/**
 * `bench -- mint`: from a request that policy allows at once to a key in the requester's hand, on a whole Cardea: decided, logged under a signed
 * checkpoint, evidence verified by the outpost, login made, secret sealed, fetched and opened. One at a time, and eight at once. Beside it, in
 * turns on the same cluster, what a script with the administrator's password would do: `create role … in role` and one durable row. Then
 * the second half: from a key in hand to the first answer through the gateway (`first-query.ts`).
 */
import { parseArgs } from "node:util";
import { verifyEvidence } from "@cardea/core/evidence/verify";
import type { CardeaClient } from "@cardea/sdk/client";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { fileRequest, readWish, takeKey, type KeyInHand } from "@cardea/testing/key-in-hand";
import { startWholeStack, type WholeStack } from "@cardea/testing/whole-stack";
import { rounded, spreadFigures, spreadOf } from "../figures.ts";
import { measureFirstQueries } from "./first-query.ts";
import { openPeer } from "./peer.ts";
import { profileOf } from "./profile.ts";
import { releaseAll } from "./release.ts";

const target = { p50Ms: 15, perSecond: 100, firstQueryP50Ms: 15 };
const atOnce = 8;

interface Sizes {
  /** Keys before anything is measured: code is compiled and pools are filled by then. */
  readonly warmUp: number;
  readonly rounds: number;
  /** Keys of one round; they are given back between rounds, unmeasured. */
  readonly keysPerRound: number;
  readonly roundsAtOnce: number;
  readonly keysPerWorker: number;
  readonly verified: number;
  readonly firstQueries: number;
}

const sizes = {
  long: {
    warmUp: 100,
    rounds: 10,
    keysPerRound: 30,
    roundsAtOnce: 8,
    keysPerWorker: 30,
    verified: 20,
    firstQueries: 100,
  },
  short: { warmUp: 20, rounds: 3, keysPerRound: 10, roundsAtOnce: 2, keysPerWorker: 10, verified: 5, firstQueries: 10 },
} as const satisfies Record<string, Sizes>;

export async function run({ args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { short } = parseArgs({ args: [...args], options: { short: { type: "boolean", default: false } } }).values;
  const size = sizes[short ? "short" : "long"];
  await using whole = await startWholeStack({ onStep: say });
  const [alice, ada] = await Promise.all([whole.as("alice"), whole.as("ada")]);
  await releaseAll(alice, await mintInTurn(alice, size.warmUp, signal));

  const one = await measureOne(whole, alice, size, signal);
  const { p50 } = spreadOf(one.ms);
  say(
    `one at a time: p50 ${String(rounded(p50))} ms, p99 ${String(rounded(spreadOf(one.ms).p99))} ms; the bare script: p50 ${String(rounded(spreadOf(one.peerMs).p50))} ms`,
  );
  const verified = await verifySample(whole, alice, one.minted.slice(-size.verified));
  const profile = await profileOf(ada, one.minted.slice(-50));
  for (const [step, ms] of Object.entries(profile)) say(`  ${step}: ${String(ms)}`);

  const eight = await measureAtOnce(alice, size, signal);
  say(`${String(atOnce)} at once: ${String(rounded(eight.perSecond))} keys a second`);
  const release = (keys: Parameters<typeof releaseAll>[1]): Promise<void> => releaseAll(alice, keys);
  const queries = await measureFirstQueries(whole, alice, size.firstQueries, release, signal);
  const firstQueryP50 = spreadOf(queries.tlsMs).p50;
  say(
    `key to first query: p50 ${String(rounded(firstQueryP50))} ms, in the clear ${String(rounded(spreadOf(queries.clearMs).p50))} ms; a bare login: ${String(rounded(spreadOf(queries.peerMs).p50))} ms`,
  );
  return {
    name: "mint",
    pass:
      !signal.aborted &&
      p50 <= target.p50Ms &&
      eight.perSecond >= target.perSecond &&
      verified === size.verified &&
      firstQueryP50 <= target.firstQueryP50Ms,
    figures: {
      keys: one.ms.length + eight.ms.length,
      ...spreadFigures("one", one.ms, "Ms"),
      ...spreadFigures("peer", one.peerMs, "Ms"),
      ratioToPeer: rounded(p50 / spreadOf(one.peerMs).p50),
      ...profile,
      atOnce,
      perSecond: rounded(eight.perSecond),
      ...spreadFigures("atOnce", eight.ms, "Ms"),
      evidenceVerified: verified,
      ...spreadFigures("firstQuery", queries.tlsMs, "Ms"),
      ...spreadFigures("firstQueryClear", queries.clearMs, "Ms"),
      ...spreadFigures("firstQueryPeer", queries.peerMs, "Ms"),
      targetP50Ms: target.p50Ms,
      targetPerSecond: target.perSecond,
      targetFirstQueryP50Ms: target.firstQueryP50Ms,
    },
  };
}

/** A key with the moments at which its requester's program stood, in milliseconds since the epoch. */
export interface Minted extends KeyInHand {
  readonly askedMs: number;
  readonly answeredMs: number;
  readonly openedMs: number;
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

async function mint(client: CardeaClient): Promise<Minted> {
  const askedMs = nowMs();
  const filed = await fileRequest(client, readWish());
  const answeredMs = nowMs();
  const key = await takeKey(client, filed);
  return { ...key, askedMs, answeredMs, openedMs: nowMs() };
}

async function mintInTurn(client: CardeaClient, count: number, signal: AbortSignal): Promise<Minted[]> {
  const minted: Minted[] = [];
  while (minted.length < count && !signal.aborted) minted.push(await mint(client));
  return minted;
}

async function measureOne(
  { stack }: WholeStack,
  client: CardeaClient,
  { rounds, keysPerRound }: Sizes,
  signal: AbortSignal,
) {
  await using peer = await openPeer(stack.shop);
  const minted: Minted[] = [];
  const peerMs: number[] = [];
  for (let round = 0; round < rounds && !signal.aborted; round += 1) {
    const keys: Minted[] = [];
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- a signal changes while we wait
    for (let turn = 0; turn < keysPerRound && !signal.aborted; turn += 1) {
      keys.push(await mint(client));
      peerMs.push(await peer.make());
    }
    minted.push(...keys);
    await Promise.all([releaseAll(client, keys), peer.remove()]);
  }
  return { minted, peerMs, ms: minted.map((key) => key.openedMs - key.askedMs) };
}

async function measureAtOnce(client: CardeaClient, { roundsAtOnce, keysPerWorker }: Sizes, signal: AbortSignal) {
  const ms: number[] = [];
  let measuredMs = 0;
  for (let round = 0; round < roundsAtOnce && !signal.aborted; round += 1) {
    const startedMs = performance.now();
    const workers = await Promise.all(Array.from({ length: atOnce }, () => mintInTurn(client, keysPerWorker, signal)));
    measuredMs += performance.now() - startedMs;
    const keys = workers.flat();
    ms.push(...keys.map((key) => key.openedMs - key.askedMs));
    await releaseAll(client, keys);
  }
  return { ms, perSecond: (ms.length * 1_000) / measuredMs };
}

/** How many of these keys stand on evidence that verifies from the trust document alone, a signed checkpoint over the grant included. */
async function verifySample({ trust }: WholeStack, client: CardeaClient, keys: readonly Minted[]): Promise<number> {
  let verified = 0;
  for (const { request } of keys) {
    const outcome = verifyEvidence(await client.evidence(request.id), trust, Date.now(), { purpose: "audit" });
    if (!outcome.ok)
      throw new Error(`the evidence of ${request.id} does not verify: ${outcome.code}, ${outcome.detail}`);
    verified += 1;
  }
  return verified;
}
