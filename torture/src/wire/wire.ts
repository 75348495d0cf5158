/**
 * `torture -- wire`: the gateway's wire, on a real outpost in a process of its own. Conversations split at every byte of either side, streams altered
 * by chance from clients and from a hostile server, clients that vanish, slow ones, thousands of strangers. Nothing may crash, hang or grow, no login
 * may be left, answers are whole messages, and no error says a secret. `--seconds N` is the time for chance, `--seed N` begins alike, `--short` is for tests.
 */
import { parseArgs } from "node:util";
import { testServer } from "@cardea/testing/cluster";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { diceOf } from "../kill/dice.ts";
import { refuseMany } from "./crowd.ts";
import { holdAndLeave } from "./holds.ts";
import { leave, slowLoris } from "./leaving.ts";
import { mutateArrivals, mutateClients, mutateServer, type Mutations } from "./mutations.ts";
import { Place } from "./place.ts";
import { splitConversations, splitSignIn } from "./splits.ts";

const defaultSeconds = 300;
const shortSeconds = 6;
const strangers = { long: 3_000, short: 240 };
const holdRounds = 6;
/** Streams under way at once. */
const hands = 4;
const warmUpSessions = 12;
const lorises = { long: 60, short: 20 };
/** One point in so many, in the short form. */
const shortStep = 13;
/** What a process may hold more than after its first sessions: its heap and buffers, and all that the system gave it. */
const growth = { heapBytes: 12_000_000, rssBytes: 80_000_000, files: 10, sockets: 10 };

export async function run({ seconds, args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { values } = parseArgs({
    args: [...args],
    options: { seed: { type: "string" }, short: { type: "boolean", default: false } },
  });
  const { short } = values;
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  say(`seed ${String(seed)}`);
  const dice = diceOf(seed);
  const problems: string[] = [];
  const problem = (what: string): void => {
    problems.push(what);
    if (problems.length <= 100) say(`PROBLEM ${what.slice(0, 600)}`);
  };
  const figures: Record<string, number> = { seed };
  const version = (await testServer(18)) ? 18 : 15;
  await using place = await Place.open(version);
  const step = async (name: string, work: () => Promise<void>): Promise<void> => {
    if (signal.aborted) return;
    const startedAt = performance.now();
    const crashes = place.crashes.length;
    await work().catch((error: unknown) =>
      problem(`${name}: ${error instanceof Error ? error.message : String(error)}`),
    );
    for (const crash of place.crashes.slice(crashes)) problem(`the outpost ended during ${name}: ${crash}`);
    if (place.crashes.length > crashes) for (const stream of place.recent) say(`  shortly before: ${stream}`);
    const { left, held } = await place.settled();
    for (const [what, count] of Object.entries(left))
      if (count > 0) problem(`after ${name}: ${String(count)} ${what} left`);
    say(
      `${name}: ${((performance.now() - startedAt) / 1_000).toFixed(1)} s; heap ${megabytes(held.heapBytes)}, all ${megabytes(held.rssBytes)}, files ${String(held.files)}`,
    );
  };

  // The first sessions make what lasts: pools, bundles, compiled code.
  await step("the first sessions", async () => {
    await refuseMany(place, 24, signal);
    await holdAndLeave(place, dice, 1, signal);
    for (let left = warmUpSessions; left > 0; left -= 1) (await place.session()).socket.destroy();
  });
  const before = await place.weigh();
  // From an address of their own, beside everything else.
  const loris = slowLoris(place, short ? lorises.short : lorises.long, signal);
  const chanceMs = (seconds ?? (short ? shortSeconds : defaultSeconds)) * 1_000;
  const every = short ? shortStep : 1;

  await step("conversations split", async () => {
    const { points, differing } = await splitConversations(place, every, signal);
    figures["splits"] = points;
    differing.forEach(problem);
  });
  await step("signing in split", async () => {
    const { points, differing } = await splitSignIn(place, every, signal);
    figures["signInSplits"] = points;
    differing.forEach(problem);
  });
  const chance = async (name: string, work: typeof mutateClients): Promise<void> => {
    await step(name, async () => {
      const found: Mutations = { streams: 0, sessions: 0, hanging: [] };
      const until = performance.now() + chanceMs / 3;
      await Promise.all(Array.from({ length: hands }, () => work(place, dice, until, signal, found)));
      figures[name.replaceAll(/ (\w)/g, (_, letter: string) => letter.toUpperCase())] = found.streams;
      for (const about of found.hanging) problem(`hangs: ${about}`);
    });
  };
  await chance("streams altered in sessions", mutateClients);
  await chance("streams altered on arrival", mutateArrivals);
  await chance("answers altered", mutateServer);
  await step("clients that leave", async () => {
    const { left, hanging } = await leave(place, dice, short, signal);
    figures["clientsThatLeft"] = left;
    for (const about of hanging) problem(`hangs: ${about}`);
  });
  await step("clients that leave while held", async () => {
    const { held, ran, wrong } = await holdAndLeave(place, dice, short ? 1 : holdRounds, signal);
    figures["held"] = held;
    figures["heldAndRan"] = ran;
    wrong.forEach(problem);
    if (held === 0) problem("nothing was held");
  });
  await step("strangers", async () => {
    const { refused, otherwise } = await refuseMany(place, short ? strangers.short : strangers.long, signal);
    figures["strangersRefused"] = refused;
    otherwise.forEach(problem);
  });
  await step("slow ones", async () => {
    const { connections, letGo, slowestMs } = await loris;
    figures["slowConnections"] = connections;
    figures["slowestMs"] = slowestMs;
    if (letGo < connections) problem(`${String(connections - letGo)} slow connections were kept`);
  });

  for (const [what, count] of Object.entries(await place.told()))
    if (count > 0) problem(`in the end the control plane holds ${String(count)} ${what} for open`);
  const { held } = await place.settled();
  const sockets = (of: typeof held): number =>
    Object.entries(of.resources).reduce((sum, [kind, count]) => (/TCP|Pipe/.test(kind) ? sum + count : sum), 0);
  const grown = {
    heapBytes: held.heapBytes + held.bufferBytes - before.heapBytes - before.bufferBytes,
    rssBytes: held.rssBytes - before.rssBytes,
    files: held.files - before.files,
    sockets: sockets(held) - sockets(before),
  };
  if (place.crashes.length === 0)
    for (const kind of ["heapBytes", "rssBytes", "files", "sockets"] as const)
      if (grown[kind] > growth[kind]) problem(`grown by ${String(grown[kind])}: ${kind}`);
  place.watch.told.forEach((words) => problem(`says a secret: ${words}`));
  place.watch.torn.forEach((what) => problem(`not whole messages: ${what}`));
  if (place.loggedSecrets > 0) problem("a secret is in the outpost's log");
  await place.session().then(
    ({ socket }) => socket.destroy(),
    () => problem("in the end nobody can sign in"),
  );
  return {
    name: "wire",
    pass: problems.length === 0 && !signal.aborted,
    figures: {
      ...figures,
      crashes: place.crashes.length,
      problems: problems.length,
      heapGrownMb: Math.round(grown.heapBytes / 1e5) / 10,
      rssGrownMb: Math.round(grown.rssBytes / 1e5) / 10,
      filesGrown: grown.files,
      socketsGrown: grown.sockets,
    },
  };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
