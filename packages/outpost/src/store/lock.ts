/** One process at a time in a data directory: two that shared it would each allow what only one may. */
import { open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";

export interface DirectoryLock {
  release(): Promise<void>;
}

/** @throws CardeaError `already_running` while the process that holds the directory lives */
export async function lockDirectory(directory: string, pid: number): Promise<DirectoryLock> {
  const path = join(directory, "lock");
  const mine = await signatureOf(pid);
  for (let attempt = 0; attempt < 10; attempt++) {
    if (await create(path, mine)) return { release: () => rm(path, { force: true }) };
    const holder = await readFile(path, "utf8").catch(() => undefined);
    if (holder === undefined) continue;
    if (await isAlive(holder)) {
      throw new CardeaError(
        "already_running",
        `another outpost (process ${holder.split(" ")[0] ?? ""}) uses \`${directory}\`; stop it, or give this one a directory of its own`,
      );
    }
    // Moved aside under a name of its own, so that of several that find it stale one takes the path, and a new holder is never removed.
    const aside = `${path}.${String(pid)}`;
    await rename(path, aside).catch(() => undefined);
    const moved = await readFile(aside, "utf8").catch(() => undefined);
    if (moved !== undefined && moved !== holder) await rename(aside, path);
    else await rm(aside, { force: true });
  }
  throw new CardeaError("already_running", `the lock of \`${directory}\` is contended; is another outpost starting?`);
}

async function create(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, "wx", 0o600);
    await file.writeFile(text);
    await file.close();
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw new CardeaError("data_directory_invalid", `\`${path}\` cannot be written`, { cause: error });
  }
}

/** A process id and, where the system tells, when that process began: ids are used again. */
async function signatureOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, "utf8").catch(() => "");
  // Fields are counted behind the command's closing parenthesis, as the command may hold spaces; the 20th there is the start time.
  const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  return `${String(pid)} ${started}`;
}

async function isAlive(holder: string): Promise<boolean> {
  const pid = Number(holder.split(" ")[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  return (await signatureOf(pid)) === holder;
}
