/**
 * `bench -- pg-bulk`: much at once. A million rows read, copied out and copied in, by PostgreSQL's own programs, through the outpost's gateway and
 * directly, in turns; and what the outpost holds of memory meanwhile, which must not depend on how much passes.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { medianOf, rounded } from "../figures.ts";
import { residentMegabytes } from "../process-usage.ts";
import {
  directDoor,
  doorOf,
  obtainGatewayKey,
  startGround,
  untilNoLoginIsLeft,
  type Door,
  type GatewayGround,
} from "./ground.ts";
import { demandProgram, libpqEnvironment, run as runProgram } from "./programs.ts";

const target = { toDirect: 0.9, grownMegabytes: 64 };

const works = ["rows", "copyOut", "copyIn"] as const;
type Work = (typeof works)[number];

const sizes = { long: { rows: 1_000_000, rounds: 5 }, short: { rows: 100_000, rounds: 1 } } as const;

export async function run({ args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { short } = parseArgs({ args: [...args], options: { short: { type: "boolean", default: false } } }).values;
  const { rows, rounds } = sizes[short ? "short" : "long"];
  await using ground = await startGround({ say });
  await using load = await makeLoad(ground, directDoor(ground.whole), rows);
  const { key } = await obtainGatewayKey(ground.alice, "write");
  const gateway = doorOf(key);

  // The first time fills the server's caches and compiles our code.
  for (const work of works) await load.seconds(work, gateway);
  await untilNoLoginIsLeft(ground.superuser);
  const beforeMegabytes = await residentMegabytes(ground.pids.outpost);
  const figures: Record<string, number> = {};
  let pass = true;
  let peakMegabytes = beforeMegabytes;
  for (const work of works) {
    const seconds: Record<"gateway" | "direct", number[]> = { gateway: [], direct: [] };
    for (let round = 0; round < rounds && !signal.aborted; round += 1) {
      const watch = watchMemory(ground.pids.outpost);
      seconds.gateway.push(await load.seconds(work, gateway));
      peakMegabytes = Math.max(peakMegabytes, await watch.stop());
      await untilNoLoginIsLeft(ground.superuser);
      seconds.direct.push(await load.seconds(work, load.direct));
    }
    if (seconds.direct.length === 0) break;
    const [through, past] = [medianOf(seconds.gateway), medianOf(seconds.direct)];
    if (past / through < target.toDirect) pass = false;
    figures[`${work}GatewaySeconds`] = rounded(through);
    figures[`${work}DirectSeconds`] = rounded(past);
    figures[`${work}ToDirect`] = rounded(past / through);
    say(
      `${work}: gateway ${String(rounded(through))} s, direct ${String(rounded(past))} s: ${String(rounded(past / through))} ×`,
    );
  }
  const afterMegabytes = await residentMegabytes(ground.pids.outpost);
  say(
    `outpost: ${String(rounded(beforeMegabytes))} MB before, ${String(rounded(peakMegabytes))} MB at most, ${String(rounded(afterMegabytes))} MB after`,
  );
  return {
    name: "pg-bulk",
    pass: pass && !signal.aborted && peakMegabytes - beforeMegabytes <= target.grownMegabytes,
    figures: {
      ...figures,
      outpostBeforeMegabytes: rounded(beforeMegabytes),
      outpostPeakMegabytes: rounded(peakMegabytes),
      outpostAfterMegabytes: rounded(afterMegabytes),
      rows,
      megabytesCopied: rounded(load.megabytes),
      rounds,
      targetToDirect: target.toDirect,
      targetGrownMegabytes: target.grownMegabytes,
    },
  };
}

interface Load extends AsyncDisposable {
  /** A login that may do the same as a session's own. */
  readonly direct: Door;
  /** Of the rows as COPY's text. */
  readonly megabytes: number;
  /** Does it once, from the program's start to its end. */
  seconds(work: Work, door: Door): Promise<number>;
}

/** A table of that many rows of about a hundred bytes, an empty one beside it, and a file to fill that from. */
async function makeLoad({ superuser }: GatewayGround, direct: Door, rows: number): Promise<Load> {
  const [psql, pgbench] = [
    await demandProgram("psql", "postgresql-client-15"),
    await demandProgram("pgbench", "postgresql-15"),
  ];
  const home = await mkdtemp(join(tmpdir(), "cardea-bench-bulk-"));
  const [file, script] = [join(home, "rows.copy"), join(home, "rows.sql")];
  await superuser.query(
    `create unlogged table bench_rows as
       select i as id, i % 1000 as kind, i * 1.5 as amount, now() + i * interval '1 second' as at, repeat(md5(i::text), 2) as words
       from generate_series(1, ${String(rows)}) as i`,
  );
  await superuser.query("create unlogged table bench_copies (like bench_rows)");
  await superuser.query("analyze bench_rows");
  await superuser.query("grant select on bench_rows to app_ro, app_rw");
  await superuser.query("grant insert on bench_copies to app_rw");
  await superuser.query("create role bench_peer login password 'bench_peer' in role app_rw");
  await writeFile(script, "select * from bench_rows;\n");
  await runProgram(psql, ["-qX", "-c", `\\copy bench_rows to '${file}'`], libpqEnvironment(direct));
  const { rows: sizes } = await superuser.query<{ bytes: string }>(
    "select sum(length(bench_rows::text)) as bytes from bench_rows",
  );
  const commands: Readonly<Record<Work, readonly [program: string, ...args: string[]]>> = {
    // libpq takes every row and pgbench throws the result away: psql would spend its time on printing.
    rows: [pgbench, "-n", "-t", "1", "-f", script],
    copyOut: [psql, "-qX", "-c", "\\copy bench_rows to '/dev/null'"],
    copyIn: [psql, "-qX", "-c", `\\copy bench_copies from '${file}'`],
  };
  return {
    direct: { ...direct, user: "bench_peer", password: "bench_peer" },
    megabytes: Number(sizes[0]?.bytes) / 1_024 ** 2,
    seconds: async (work, door) => {
      if (work === "copyIn") await superuser.query("truncate bench_copies");
      const [program, ...args] = commands[work];
      const startedMs = performance.now();
      await runProgram(program, args, libpqEnvironment(door));
      return (performance.now() - startedMs) / 1_000;
    },
    [Symbol.asyncDispose]: () => rm(home, { recursive: true, force: true }),
  };
}

/** Looks ten times a second; `stop` answers with the most that was seen. */
function watchMemory(pid: number): { stop(): Promise<number> } {
  const over = new AbortController();
  const watching = (async () => {
    let most = 0;
    for (;;) {
      most = Math.max(most, await residentMegabytes(pid));
      if (over.signal.aborted) return most;
      await sleep(100, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  return {
    stop: () => {
      over.abort();
      return watching;
    },
  };
}
