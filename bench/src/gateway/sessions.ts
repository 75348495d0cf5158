/** `bench -- sessions`: what a thousand sessions that are open and wait cost the outpost in memory, after garbage is collected. */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { rounded } from "../figures.ts";
import { residentMegabytes } from "../process-usage.ts";
import { obtainGatewayKey, startGround, untilNoLoginIsLeft } from "./ground.ts";
import { openSessions } from "./many-sessions.ts";

const targetMegabytes = 60;

export async function run({ args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { short } = parseArgs({ args: [...args], options: { short: { type: "boolean", default: false } } }).values;
  const count = short ? 50 : 1_000;
  const restMs = short ? 500 : 5_000;
  const collector = new URL("collect-garbage.js", import.meta.url).href;
  await using ground = await startGround({
    say,
    connections: count + 50,
    env: { NODE_OPTIONS: `--import=${collector}` },
  });
  const { outpost } = ground.pids;
  const held = async (): Promise<number> => {
    await sleep(restMs, undefined, { signal });
    process.kill(outpost, "SIGUSR2");
    await sleep(restMs, undefined, { signal });
    return residentMegabytes(outpost);
  };
  const { key } = await obtainGatewayKey(ground.alice, "read");
  // Code is compiled and tables have their sizes by then.
  await closeAll(await openSessions(key, 20));
  await untilNoLoginIsLeft(ground.superuser);

  const before = await held();
  const sessions = await openSessions(key, count);
  const open = await held();
  await closeAll(sessions);
  await untilNoLoginIsLeft(ground.superuser);
  const after = await held();
  // Whatever of the state before was no more than not yet given back shows after.
  const cost = open - Math.min(before, after);
  say(
    `outpost: ${String(rounded(before))} MB before, ${String(rounded(open))} MB with ${String(count)} sessions, ${String(rounded(after))} MB after`,
  );
  return {
    name: "sessions",
    pass: !signal.aborted && cost <= targetMegabytes,
    figures: {
      sessions: sessions.length,
      beforeMegabytes: rounded(before),
      openMegabytes: rounded(open),
      afterMegabytes: rounded(after),
      costMegabytes: rounded(cost),
      kilobytesPerSession: rounded((cost * 1_024) / sessions.length),
      targetMegabytes,
    },
  };
}

async function closeAll(sessions: Awaited<ReturnType<typeof openSessions>>): Promise<void> {
  await Promise.all(sessions.map(({ client }) => client.end()));
}
