/**
 * `bench -- pg-gateway`: pgbench, select-only, through the outpost's gateway, where each statement is judged and recorded, and in turns through
 * PgBouncer with session pooling and through a bare pipe in Node that looks at nothing: in all three protocol modes of pgbench. Client, what is
 * in between, and database share the machine, so a ratio says what the one in between costs beside what everybody pays.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { medianOf, rounded } from "../figures.ts";
import { processorMs } from "../process-usage.ts";
import {
  directDoor,
  doorOf,
  obtainGatewayKey,
  startGround,
  untilNoLoginIsLeft,
  type Door,
  type GatewayGround,
} from "./ground.ts";
import { startPgbouncer } from "./pgbouncer.ts";
import {
  makePgbenchTables,
  pgbench,
  pgbenchClients,
  pgbenchModes,
  type PgbenchMode,
  type PgbenchRun,
} from "./pgbench.ts";
import { startPipe } from "./pipe.ts";

const target = { toPgbouncer: 0.7, toPipe: 0.85 };

const contenders = ["pgbouncer", "pipe", "gateway"] as const;
type Contender = (typeof contenders)[number];

/** One way from pgbench to the database, and the process in between. */
interface Way {
  readonly door: Door;
  readonly pid: number;
}
type Ways = Readonly<Partial<Record<Contender, Way>>>;

/** What one run gave. */
interface Sample {
  readonly tps: number;
  /** Processor time of the process in between. */
  readonly usPerTransaction: number;
}

export async function run({ seconds, args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { short } = parseArgs({ args: [...args], options: { short: { type: "boolean", default: false } } }).values;
  const rounds = short ? 1 : 5;
  const runSeconds = seconds ?? (short ? 1 : 2);
  await using ground = await startGround({ say });
  const direct = await makePgbenchTables(ground.superuser, directDoor(ground.whole));
  const { key } = await obtainGatewayKey(ground.alice, "read");
  await using pipe = await startPipe(direct);
  await using pgbouncer = await startPgbouncer(direct);
  if (pgbouncer === undefined) say("pgbouncer is missing: as root, apt-get install pgbouncer");
  const ways: Ways = {
    ...(pgbouncer && { pgbouncer }),
    pipe,
    gateway: { door: doorOf(key), pid: ground.pids.outpost },
  };

  // Code is compiled and caches are filled by then.
  for (const mode of pgbenchModes) await measure(ground, ways, { mode, seconds: short ? 1 : 3 });
  const samples: Record<PgbenchMode, Partial<Record<Contender, Sample>>[]> = { simple: [], extended: [], prepared: [] };
  for (let round = 0; round < rounds && !signal.aborted; round += 1)
    for (const mode of pgbenchModes)
      samples[mode].push(await measure(ground, ways, { mode, seconds: runSeconds }, round));

  const figures: Record<string, number | null> = {};
  let pass = !signal.aborted && pgbouncer !== undefined;
  for (const mode of pgbenchModes) {
    if (samples[mode].length === 0) break;
    const tps = (name: Contender): number => medianOf(samples[mode].map((sample) => sample[name]?.tps ?? NaN));
    const us = (name: Contender): number =>
      medianOf(samples[mode].map((sample) => sample[name]?.usPerTransaction ?? NaN));
    const ratios = { toPgbouncer: tps("gateway") / tps("pgbouncer"), toPipe: tps("gateway") / tps("pipe") };
    if (!(ratios.toPgbouncer >= target.toPgbouncer && ratios.toPipe >= target.toPipe)) pass = false;
    for (const name of contenders) {
      figures[`${mode}${capital(name)}Tps`] = figure(tps(name));
      figures[`${mode}${capital(name)}UsPerTransaction`] = figure(us(name));
    }
    figures[`${mode}ToPgbouncer`] = figure(ratios.toPgbouncer);
    figures[`${mode}ToPipe`] = figure(ratios.toPipe);
    say(
      `${mode}: ${contenders.map((name) => `${name} ${String(figure(tps(name)))}`).join(", ")} a second; gateway ${String(figure(ratios.toPgbouncer))} × pgbouncer, ${String(figure(ratios.toPipe))} × pipe`,
    );
  }
  Object.assign(
    figures,
    await measureTls(ground, direct, ways, { mode: "simple", seconds: runSeconds }, short ? 1 : 3),
  );
  return {
    name: "pg-gateway",
    pass,
    figures: {
      ...figures,
      clients: pgbenchClients,
      rounds,
      secondsPerRun: runSeconds,
      targetToPgbouncer: target.toPgbouncer,
      targetToPipe: target.toPipe,
    },
  };
}

/** Each way once; another one is first in each round. */
async function measure(
  { superuser }: Pick<GatewayGround, "superuser">,
  ways: Ways,
  load: PgbenchRun,
  round = 0,
): Promise<Partial<Record<Contender, Sample>>> {
  const samples: Partial<Record<Contender, Sample>> = {};
  for (let turn = 0; turn < contenders.length; turn += 1) {
    const name = contenders[(turn + round) % contenders.length] ?? "gateway";
    const way = ways[name];
    if (way === undefined) continue;
    const [tps, busy] = await Promise.all([pgbench(way.door, load), busyShare(way.pid, load.seconds)]);
    samples[name] = { tps, usPerTransaction: (busy * 1_000_000) / tps };
    if (name === "gateway") await untilNoLoginIsLeft(superuser);
  }
  return samples;
}

/** Of one processor, in the middle of a run: neither signing in nor its end is any transaction's cost. */
async function busyShare(pid: number, seconds: number): Promise<number> {
  const windowMs = seconds * 600;
  await sleep(seconds * 250);
  const [beforeMs, startedMs] = [await processorMs(pid), performance.now()];
  await sleep(windowMs);
  return ((await processorMs(pid)) - beforeMs) / (performance.now() - startedMs);
}

/** For information: the same encrypted, which the pipe cannot be. */
async function measureTls(
  ground: GatewayGround,
  direct: Door,
  { gateway }: Ways,
  load: PgbenchRun & { readonly mode: PgbenchMode },
  rounds: number,
): Promise<Record<string, number | null>> {
  await using pgbouncer = await startPgbouncer(direct, { tls: true });
  const ways: Ways = { ...(gateway && { gateway }), ...(pgbouncer && { pgbouncer }) };
  const samples: Partial<Record<Contender, Sample>>[] = [];
  for (let round = 0; round < rounds; round += 1)
    samples.push(await measure(ground, ways, { ...load, tls: true }, round));
  const tps = (name: Contender): number => medianOf(samples.map((sample) => sample[name]?.tps ?? NaN));
  return {
    tlsGatewayTps: figure(tps("gateway")),
    tlsPgbouncerTps: figure(tps("pgbouncer")),
    tlsToPgbouncer: figure(tps("gateway") / tps("pgbouncer")),
  };
}

/** `null` for what nobody measured. */
function figure(value: number): number | null {
  return Number.isFinite(value) ? rounded(value) : null;
}

function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
