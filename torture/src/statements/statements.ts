/**
 * `torture -- statements`: whether anything judged covered reaches beyond its grant, on every PostgreSQL there is. First a numbered list of known
 * ways round, each through a real gateway and refused with its exact SQLSTATE; then scripts by chance, with the database itself as the oracle.
 * `--seconds N` is the time for chance, `--seed N` begins alike, `--only TEXT` tries those of the list that hold the text, `--short` is for tests.
 */
import { parseArgs } from "node:util";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { testServer, testVersions } from "@cardea/testing/cluster";
import { diceOf } from "../kill/dice.ts";
import { tryByChance, type Chance } from "./chance.ts";
import { Field } from "./field.ts";
import { numberedWays, tryWays, type Tried } from "./known-ways.ts";

const defaultSeconds = 300;
const shortSeconds = 16;
/** Of the ways round, the share that the oracle has to notice where nothing judges them; the rest leave no trace in a database. */
const sharpEnough = 0.6;
/** Fewer scripts with something let through than this share would test nothing. */
const wantedCoveredShare = 0.1;

export async function run({ seconds, args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string" },
      only: { type: "string" },
      short: { type: "boolean", default: false },
    },
  });
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  const byChance = values.only === undefined ? (seconds ?? (values.short ? shortSeconds : defaultSeconds)) : 0;
  say(`seed ${String(seed)}`);
  const versions = (
    await Promise.all(testVersions.map(async (version) => ((await testServer(version)) ? [version] : [])))
  ).flat();
  const { only } = values;
  const ways = numberedWays().filter(({ way }) => only === undefined || way.tries.includes(only));
  const figures: Record<string, number | string> = { seed, ways: ways.length };
  let pass = versions.length > 0 && ways.length > 0;
  for (const version of versions) {
    if (signal.aborted) break;
    say(`\nPostgreSQL ${String(version)}`);
    await using field = await Field.open(version);
    const tried = await tryWays(field, ways, signal, (one) => {
      if (!values.short || !one.refused) say(line(one));
    });
    const refused = tried.filter((one) => one.refused).length;
    say(`${String(refused)} of ${String(ways.length)} refused`);
    figures[`refusedOn${String(version)}`] = refused;
    pass &&= refused === ways.length;
    if (byChance === 0) continue;
    const time = { seconds: byChance / versions.length, short: values.short };
    const chance = await tryByChance(field, diceOf(seed), time, signal, say);
    for (const [name, value] of Object.entries(figuresOf(chance))) figures[`${name}On${String(version)}`] = value;
    pass &&= chance.findings.length === 0 && chance.noticed >= chance.ways * sharpEnough;
    pass &&= chance.withCovered >= chance.scripts * wantedCoveredShare;
  }
  return { name: "statements", pass, figures };
}

function figuresOf({
  scripts,
  units,
  covered,
  withCovered,
  findings,
  noticed,
  ways,
  seconds,
}: Chance): Record<string, number> {
  return {
    scripts,
    statements: units,
    covered,
    scriptsWithCovered: withCovered,
    outside: findings.length,
    noticedUnjudged: noticed,
    triedUnjudged: ways,
    seconds: Math.round(seconds),
  };
}

function line({ number, way, came, refused }: Tried): string {
  return `${refused ? "ok  " : "FAIL"} ${String(number).padStart(3)} ${JSON.stringify(way.tries).slice(1, -1)} → ${came}${refused ? "" : ` (must be ${way.meets})`}`;
}
