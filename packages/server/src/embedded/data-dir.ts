/**
 * The data directory of an embedded cluster: made whole or not at all, and brought in line with how it is listened on
 * before each start. Called by the supervisor only, while no server runs on it.
 */
import { execFile } from "node:child_process";
import { chown, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Random } from "@cardea/core/lib/random";
import type { Account } from "./account.ts";
import type { Binaries } from "./binaries.ts";
import { isAlive } from "./postmaster.ts";
import { hasCode } from "./system-error.ts";

const run = promisify(execFile);

/** Inside the data directory, so that directory and password appear, move and go together. */
const passwordName = "cardea-superuser-password";

/** Environment of every server program: nothing of ours (`PGDATA`, `PGPORT`, a locale, a secret) reaches it. */
export const serverEnvironment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };

export interface InitOptions {
  readonly dataDir: string;
  readonly binaries: Binaries;
  readonly account: Account | undefined;
  readonly superuser: string;
  readonly random: Random;
  readonly initTimeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Makes the data directory when it is missing. It is built beside its place and renamed into it, so a crash leaves
 * either no data directory or a complete one; what a crashed attempt left beside it is removed by the next.
 * @throws CardeaError `data_directory_invalid` when something else is in its place or it is another major version's
 */
export async function ensureDataDir(options: InitOptions): Promise<void> {
  const { dataDir, binaries } = options;
  const version = await readFile(join(dataDir, "PG_VERSION"), "utf8").catch(() => undefined);
  if (version === undefined) return initialise(options);
  if (Number(version) !== binaries.major) {
    throw new CardeaError(
      "data_directory_invalid",
      `\`${dataDir}\` was made by postgresql ${version.trim()} and cannot be opened by ${binaries.version}: install postgresql ${version.trim()}, or move the directory away to begin anew`,
    );
  }
}

async function initialise(options: InitOptions): Promise<void> {
  const { dataDir, account, random, signal } = options;
  const inTheWay = (await readdir(dataDir).catch(() => [])).length > 0;
  if (inTheWay) {
    const why = `\`${dataDir}\` is not empty and holds no postgresql cluster: move its files away or name another directory`;
    throw new CardeaError("data_directory_invalid", why);
  }
  await removeLeftovers(dataDir);

  const work = `${dataDir}.init-${process.pid}`;
  const made = join(work, "data");
  const passwordFile = join(work, "password");
  try {
    await mkdir(made, { recursive: true, mode: 0o700 });
    if (account !== undefined) {
      await chown(work, account.uid, account.gid);
      await chown(made, account.uid, account.gid);
    }
    await writeDurably(passwordFile, `${Buffer.from(random.bytes(32)).toString("base64url")}\n`, account);
    await runInitdb(made, passwordFile, options);
    await rename(passwordFile, join(made, passwordName));
    await sync(made);
    await rename(made, dataDir).catch((error: unknown) => {
      if (!hasCode(error, "ENOTEMPTY", "EEXIST")) throw error; // another start was first: its directory is as good
    });
    await sync(dirname(dataDir));
  } catch (cause) {
    signal?.throwIfAborted();
    const why = `\`initdb\` could not make \`${dataDir}\`: ${lastLine(cause)}`;
    throw new CardeaError("database_unavailable", why, { cause });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function runInitdb(dir: string, passwordFile: string, options: InitOptions): Promise<void> {
  const { binaries, account, superuser, initTimeoutMs, signal } = options;
  // Since 17 the server brings its own collation, the same on every system; before, the C library must have one.
  const libcLocale = process.platform === "linux" ? ["--locale=C.UTF-8"] : ["--locale=C"];
  const builtinLocale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
  const locale = binaries.major >= 17 ? builtinLocale : libcLocale;
  const access = ["-U", superuser, "--auth=scram-sha-256", `--pwfile=${passwordFile}`];
  const identity = account === undefined ? {} : { uid: account.uid, gid: account.gid };
  const running = run(binaries.initdb, ["-D", dir, ...access, "--encoding=UTF8", ...locale, "--no-instructions"], {
    cwd: "/",
    env: serverEnvironment,
    timeout: initTimeoutMs,
    ...identity,
  });
  if (signal?.aborted === true) running.child.kill();
  // Not the option \`signal\`, which answers before the program and those that it started are gone.
  const abort = (): unknown => running.child.kill();
  signal?.addEventListener("abort", abort);
  try {
    await running;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** A directory of this name is being built only as long as the process in its name lives. */
async function removeLeftovers(dataDir: string): Promise<void> {
  const prefix = `${basename(dataDir)}.init-`;
  for (const name of await readdir(dirname(dataDir))) {
    const builder = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : Number.NaN;
    if (!Number.isSafeInteger(builder) || (builder !== process.pid && (await isAlive(builder)))) continue;
    await rm(join(dirname(dataDir), name), { recursive: true, force: true });
  }
}

/** The superuser's password, made with the directory; a server that outlived its parent still has the same. */
export async function readPassword(dataDir: string): Promise<string> {
  const text = await readFile(join(dataDir, passwordName), "utf8").catch((cause: unknown) => {
    throw new CardeaError(
      "data_directory_invalid",
      `\`${join(dataDir, passwordName)}\` cannot be read: it is made with the directory, restore it or move the directory away`,
      { cause },
    );
  });
  return text.trim();
}

/** Who may connect how: over TCP everybody with a password; over the socket whoever can enter its 0700 folder. */
export async function writeAccessRules(
  dataDir: string,
  over: "socket" | "tcp",
  account: Account | undefined,
): Promise<void> {
  const rule = over === "socket" ? "local all all trust" : "host all all all scram-sha-256";
  const path = join(dataDir, "pg_hba.conf");
  const work = `${path}.${process.pid}`;
  await writeDurably(work, `# written by cardea at each start\n${rule}\n`, account);
  await rename(work, path);
}

async function writeDurably(path: string, text: string, account: Account | undefined): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(text);
    if (account !== undefined) await file.chown(account.uid, account.gid);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function sync(dir: string): Promise<void> {
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function lastLine(error: unknown): string {
  // execFile's rejection carries what the program wrote.
  const output = error instanceof Error && "stderr" in error && typeof error.stderr === "string" ? error.stderr : "";
  const lines = (output === "" && error instanceof Error ? error.message : output).trim().split("\n");
  return lines.findLast((line) => /error|fatal/i.test(line)) ?? lines.at(-1) ?? "";
}
