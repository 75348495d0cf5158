/**
 * `bench -- pg-profile`: where the outpost's processor time goes while pgbench runs through its gateway, in each protocol mode, in microseconds a
 * transaction. For reading, not for a target: a profile that is taken slows down what it looks at.
 */
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { rounded } from "../figures.ts";
import { directDoor, doorOf, obtainGatewayKey, startGround, until } from "./ground.ts";
import { readHotPath, type Share } from "./hot-path.ts";
import { makePgbenchTables, pgbench, pgbenchModes } from "./pgbench.ts";

export async function run({ seconds, args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { values } = parseArgs({
    args: [...args],
    options: { short: { type: "boolean", default: false }, lines: { type: "string", default: "30" } },
  });
  const runSeconds = seconds ?? (values.short ? 1 : 5);
  const home = await mkdtemp(join(tmpdir(), "cardea-bench-profile-"));
  const path = join(home, "outpost.cpuprofile");
  try {
    const profiler = new URL("profile-process.js", import.meta.url).href;
    await using ground = await startGround({
      say,
      env: { NODE_OPTIONS: `--import=${profiler}`, CARDEA_BENCH_PROFILE: path },
    });
    const { outpost } = ground.pids;
    await makePgbenchTables(ground.superuser, directDoor(ground.whole));
    const door = doorOf((await obtainGatewayKey(ground.alice, "read")).key);
    const figures: Record<string, number> = {};
    for (const mode of pgbenchModes) {
      if (signal.aborted) break;
      await pgbench(door, { mode, seconds: 1 });
      const load = pgbench(door, { mode, seconds: runSeconds + 1 });
      // Signing in is none of a message's cost.
      await sleep(500);
      process.kill(outpost, "SIGUSR2");
      await sleep(runSeconds * 1_000);
      process.kill(outpost, "SIGUSR2");
      await until("the profile is written", () =>
        access(path).then(
          () => true,
          () => false,
        ),
      );
      const tps = await load;
      const { busyUs, files, functions } = await readHotPath(path);
      await rm(path);
      const transactions = tps * runSeconds;
      figures[`${mode}Tps`] = rounded(tps);
      figures[`${mode}UsPerTransaction`] = rounded(busyUs / transactions);
      say(`${mode}: ${String(rounded(tps))} a second, ${String(rounded(busyUs / transactions))} µs each`);
      const table = (shares: readonly Share[]): void => {
        for (const { name, us } of shares.slice(0, Number(values.lines)))
          say(`  ${String(rounded(us / transactions)).padStart(8)} µs  ${name}`);
      };
      table(files);
      say("  by function:");
      table(functions);
    }
    return { name: "pg-profile", pass: !signal.aborted, figures: { ...figures, seconds: runSeconds } };
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
