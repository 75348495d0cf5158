/** What a process of ours costs, as proc(5) tells it. */
import { readFile } from "node:fs/promises";

/** Clock ticks a second in which Linux counts processor time for programs, on every architecture that we run on. */
const ticksPerSecond = 100;

/** `VmRSS`, in megabytes of 1024² bytes, as proc_pid_status(5) gives it. @throws Error where the process is gone */
export async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, "utf8");
  const kilobytes = /^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`process ${String(pid)} does not say how much memory it holds`);
  return Number(kilobytes) / 1_024;
}

/** Processor time so far, all threads, user and system, in milliseconds; to ten of them. @throws Error where the process is gone */
export async function processorMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, "utf8");
  // The second field is the program's name, which may hold anything; the last parenthesis ends it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user, system] = [fields[11], fields[12]].map(Number);
  if (user === undefined || system === undefined) throw new Error(`process ${String(pid)} does not say what it used`);
  return ((user + system) * 1_000) / ticksPerSecond;
}
