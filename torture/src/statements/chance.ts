/** Scripts by chance until the time is over. First the oracle is tried itself: it has to notice most of the known ways round where nothing judges them. */
import { waysRound } from "@cardea/connectors/postgres/fixture/known-ways-round";
import type { Dice } from "../kill/dice.ts";
import type { Field } from "./field.ts";
import { Generator, placed, type Place } from "./generate.ts";
import { scopes } from "./ground.ts";
import { Oracle, type Finding, type Script } from "./oracle.ts";
import { shrink, textOf } from "./shrink.ts";

export interface Chance {
  readonly scripts: number;
  readonly units: number;
  /** Units that were let through. */
  readonly covered: number;
  readonly withCovered: number;
  readonly findings: readonly string[];
  /** Known ways round that the oracle noticed unjudged, and how many it was shown. */
  readonly noticed: number;
  readonly ways: number;
  readonly seconds: number;
}

/** More would only be more of the same. */
const maxFindings = 25;

export async function tryByChance(
  field: Field,
  dice: Dice,
  { seconds, short }: { readonly seconds: number; readonly short: boolean },
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<Chance> {
  const place = await placeOf(field);
  const { noticed, ways } = await sharpness(field, place, short);
  say(`unjudged, the oracle notices ${String(noticed)} of ${String(ways)} known ways round`);
  const startedAt = performance.now();
  const generator = new Generator(dice, place);
  using oracle = new Oracle(field);
  const findings = new Map<string, string>();
  let [scripts, units, covered, withCovered] = [0, 0, 0, 0];
  const codes = new Map<string, number>();
  while (performance.now() - startedAt < seconds * 1_000 && !signal.aborted && findings.size < maxFindings) {
    const script = generator.script();
    const { passed, refused, finding } = await oracle.try(script);
    scripts += 1;
    units += script.units.length;
    covered += passed;
    if (passed > 0) withCovered += 1;
    for (const code of refused) codes.set(code, (codes.get(code) ?? 0) + 1);
    if (finding === undefined) continue;
    const least = await smallest(oracle, script, finding);
    const words = `${finding.kind}: ${least.scope.role}${least.inTransaction ? ", in a transaction" : ""}: ${JSON.stringify(least.units)}`;
    // The same text under another name or scope is the same finding.
    const gist = `${finding.kind} ${least.units.map(textOf).join("; ").toLowerCase()}`;
    if (findings.has(gist)) continue;
    say(`FINDING ${words}\n        ${finding.what}`);
    findings.set(gist, words);
  }
  say(
    `refused: ${[...codes]
      .sort(([, a], [, b]) => b - a)
      .map(([code, count]) => `${code} ${String(count)}`)
      .join(", ")}`,
  );
  const took = (performance.now() - startedAt) / 1_000;
  return { scripts, units, covered, withCovered, findings: [...findings.values()], noticed, ways, seconds: took };
}

async function smallest(oracle: Oracle, script: Script, { kind }: Finding): Promise<Script> {
  const fails = async (units: Script["units"]): Promise<boolean> => {
    oracle.settle();
    return (await oracle.try({ ...script, units })).finding?.kind === kind;
  };
  return { ...script, units: await shrink(script.units, fails) };
}

/** Each known way round alone, in a transaction that is rolled back, by a superuser whom nothing judges. */
async function sharpness(field: Field, place: Place, short: boolean): Promise<{ noticed: number; ways: number }> {
  using oracle = new Oracle(field, true);
  let noticed = 0;
  const shown = waysRound.filter(
    // Nobody is to end the database, or to take its ground away.
    (text, index) => (!short || index % 5 === 0) && !/terminate|promote|drop schema|alter system/.test(text),
  );
  for (const text of shown) {
    const units = [{ kind: "simple" as const, text: placed(text, place) }];
    const { finding } = await oracle.try({ scope: scopes[0], inTransaction: true, units });
    if (finding !== undefined) noticed += 1;
  }
  return { noticed, ways: shown.length };
}

async function placeOf(field: Field): Promise<Place> {
  const rows = await field.su(
    `select t::oid::int as oid from unnest(array['public.checked', 'public.holder', 'public.marked', 'public.grade', 'int', 'text', 'varchar', 'regclass']::regtype[]) t`,
  );
  return { file: field.canaries.file, folder: field.folder, typeOids: rows.map(({ oid }) => Number(oid)) };
}
