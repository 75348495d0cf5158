/**
 * `torture -- attack`: a numbered list of ways to cheat, tried one after the other on a whole Cardea: through the API, by the control plane's database in
 * its administrator's hands, and at the resource with a key in hand. Each must fail with its exact code, and after each no login may be at the
 * resource that evidence does not justify. `--only TEXT` tries those whose list or sentence holds the text.
 */
import { parseArgs } from "node:util";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import type { Attack, AttackList } from "./attempt.ts";
import { Ground } from "./ground.ts";
import { approvals } from "./lists/approvals.ts";
import { actionsBySql } from "./lists/database-actions.ts";
import { documentsBySql } from "./lists/database-documents.ts";
import { peopleBySql } from "./lists/database-people.ts";
import { exact } from "./lists/exact.ts";
import { held } from "./lists/held.ts";
import { identity } from "./lists/identity.ts";
import { input } from "./lists/input.ts";
import { keys, resource } from "./lists/keys.ts";
import { link } from "./lists/link.ts";
import { log } from "./lists/log.ts";
import { recordings } from "./lists/recordings.ts";
import { standing } from "./lists/standing.ts";

const lists: readonly AttackList[] = [
  approvals,
  standing,
  identity,
  input,
  keys,
  resource,
  link,
  documentsBySql,
  peopleBySql,
  log,
  held,
  exact,
  actionsBySql,
  recordings,
];

interface Tried {
  readonly number: number;
  readonly list: string;
  readonly attack: Attack;
  readonly came: string;
  readonly refused: boolean;
}

export async function run({ args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { short, only } = parseArgs({
    args: [...args],
    options: { short: { type: "boolean", default: false }, only: { type: "string" } },
  }).values;
  const chosen = numbered().filter(
    ({ list, attack }) => only === undefined || `${list}: ${attack.tries}`.includes(only),
  );
  // The short form takes every fourth or so: each list is met, in a quarter of the time.
  const taken = short ? chosen.filter(({ every }, index) => index % every === 0) : chosen;
  await using ground = await Ground.open(say);
  const tried: Tried[] = [];
  let list = "";
  for (const one of taken) {
    if (signal.aborted) break;
    if (one.list !== list) say(`\n${one.list}`);
    ({ list } = one);
    const result = await tryOne(ground, one);
    tried.push(result);
    say(line(result));
  }
  const refused = tried.filter((one) => one.refused);
  for (const one of tried.filter(({ refused }) => !refused)) say(`NOT REFUSED as it must be: ${line(one)}`);
  say(`${String(refused.length)} of ${String(taken.length)} refused`);
  return {
    name: "attack",
    pass: refused.length === taken.length && taken.length > 0,
    figures: {
      attacks: taken.length,
      refused: refused.length,
      notRefused: tried
        .filter((one) => !one.refused)
        .map(({ number }) => String(number))
        .join(" "),
      ...Object.fromEntries(
        lists.map(({ title }) => [title, tried.filter((one) => one.list === title && one.refused).length]),
      ),
    },
  };
}

interface Numbered {
  readonly number: number;
  readonly list: string;
  readonly attack: Attack;
  readonly every: number;
}

function numbered(): Numbered[] {
  return lists
    .flatMap(({ title, attacks, shortEvery = 4 }) =>
      attacks.map((attack) => ({ list: title, attack, every: shortEvery })),
    )
    .map((one, index) => ({ number: index + 1, ...one }));
}

async function tryOne(ground: Ground, { number, list, attack }: Numbered): Promise<Tried> {
  let came: string;
  try {
    came = await attack.run(ground);
  } catch (error) {
    came = `the attack itself failed: ${error instanceof Error ? error.message : String(error)}`;
  }
  try {
    await ground.putBack();
    const unjustified = await ground.unjustified();
    if (unjustified.length > 0) came += `; KEYS WITHOUT EVIDENCE: ${unjustified.join(", ")}`;
  } catch (error) {
    came += `; the ground is not sound afterwards: ${error instanceof Error ? error.message : String(error)}`;
  }
  return { number, list, attack, came, refused: came === attack.meets };
}

function line({ number, attack, came, refused }: Tried): string {
  return `${refused ? "ok  " : "FAIL"} ${String(number).padStart(3)} ${attack.tries} → ${came}${refused ? "" : ` (must be ${attack.meets})`}`;
}
