/**
 * `bench -- idle`: what each of our processes holds of memory when nothing happens, fresh and after many keys were made and ended, run as `npm start`
 * runs them. PostgreSQL's processes are not ours and are not counted.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { CardeaClient } from "@cardea/sdk/client";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { obtainKey, readWish, type KeyInHand } from "@cardea/testing/key-in-hand";
import { startDev, type DevProcess } from "./dev-process.ts";
import { rounded } from "./figures.ts";
import { releaseAll } from "./mint/release.ts";
import { residentMegabytes } from "./process-usage.ts";

const targetMegabytes = 150;
const workers = 8;

export async function run({ seconds, args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { short } = parseArgs({ args: [...args], options: { short: { type: "boolean", default: false } } }).values;
  const idleMs = (seconds ?? (short ? 3 : 30)) * 1_000;
  const keys = short ? 40 : 2_000;
  await using dev = await startDev();

  await sleep(idleMs, undefined, { signal });
  const fresh = await measure(dev);
  say(`fresh and idle: ${words(fresh)}`);
  const alice = await dev.as("alice");
  const share = Math.min(50, keys / workers);
  for (let made = 0; made < keys && !signal.aborted; made += workers * share) {
    const batches = await Promise.all(Array.from({ length: workers }, () => obtainSome(alice, share)));
    await releaseAll(alice, batches.flat());
  }
  const loaded = await measure(dev);
  await sleep(idleMs, undefined, { signal });
  const after = await measure(dev);
  say(`idle again after ${String(keys)} keys: ${words(after)}`);

  return {
    name: "idle",
    pass: Math.max(...Object.values(fresh), ...Object.values(after)) <= targetMegabytes,
    figures: {
      ...named("Fresh", fresh),
      ...named("Loaded", loaded),
      ...named("After", after),
      keys,
      idleSeconds: idleMs / 1_000,
      targetMegabytes,
    },
  };
}

async function obtainSome(client: CardeaClient, count: number): Promise<KeyInHand[]> {
  const keys: KeyInHand[] = [];
  while (keys.length < count) keys.push(await obtainKey(client, readWish()));
  return keys;
}

/** Resident megabytes by process. */
async function measure(dev: DevProcess): Promise<Record<string, number>> {
  const pids = Object.entries(await dev.pids());
  return Object.fromEntries(
    await Promise.all(pids.map(async ([name, pid]) => [name, await residentMegabytes(pid)] as const)),
  );
}

function named(when: string, measured: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(measured).map(([name, megabytes]) => [`${name}${when}Megabytes`, rounded(megabytes)]),
  );
}

function words(measured: Readonly<Record<string, number>>): string {
  return Object.entries(measured)
    .map(([name, megabytes]) => `${name} ${String(rounded(megabytes))} MB`)
    .join(", ");
}
