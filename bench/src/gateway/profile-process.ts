/**
 * Loaded into a process of ours by `node --import` before its own program: the first SIGUSR2 begins a profile of its processor, the next one ends it
 * and writes it to the file that `CARDEA_BENCH_PROFILE` names, in Chrome's form.
 */
import { rename, writeFile } from "node:fs/promises";
import { Session } from "node:inspector/promises";

const path = process.env["CARDEA_BENCH_PROFILE"];
const session = new Session();
let running = false;

async function toggle(): Promise<void> {
  if (path === undefined) return;
  if (!running) {
    running = true;
    session.connect();
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: 200 });
    await session.post("Profiler.start");
    return;
  }
  running = false;
  const { profile } = await session.post("Profiler.stop");
  session.disconnect();
  // Whoever waits for the file finds it whole.
  await writeFile(`${path}.part`, JSON.stringify(profile));
  await rename(`${path}.part`, path);
}

process.on("SIGUSR2", () => {
  toggle().catch((error: unknown) => process.stderr.write(`no profile: ${String(error)}\n`));
});
