/**
 * One supervisor to a data directory. The lock is a file that names its holder's process; a holder that is gone (killed, or from
 * before a restart of the machine) is replaced.
 */
import { open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";

/** Takes the lock. @throws CardeaError `already_running` where a live process holds it. */
export async function lockDataDirectory(dataDirectory: string): Promise<AsyncDisposable> {
  const path = join(dataDirectory, "supervisor.pid");
  const mine = `${String(process.pid)} ${await startOf(process.pid)}\n`;
  for (;;) {
    try {
      const file = await open(path, "wx", 0o600);
      await file.writeFile(mine);
      await file.close();
      return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    const held = await readFile(path, "utf8").catch(() => "");
    const [pid, start] = held.trim().split(" ");
    if (
      pid !== undefined &&
      /^[1-9][0-9]*$/.test(pid) &&
      start !== undefined &&
      (await startOf(Number(pid))) === start
    ) {
      throw new CardeaError(
        "already_running",
        `process ${pid} uses \`${dataDirectory}\`; stop it, or name another directory by CARDEA_DATA`,
      );
    }
    // Renamed first, so that of two starters only one removes the dead holder's file and neither removes a live one's.
    const grave = `${path}.${String(process.pid)}`;
    await rename(path, grave).catch(() => undefined);
    await rm(grave, { force: true });
  }
}

/** When the process started, in ticks since boot: what tells it from a later process with the same number. `gone` where there is none. */
async function startOf(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${String(pid)}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "gone";
  } catch {
    if (process.platform === "linux") return "gone";
  }
  try {
    process.kill(pid, 0);
    return "alive";
  } catch {
    return "gone";
  }
}
