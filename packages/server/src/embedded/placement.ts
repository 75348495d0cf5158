/**
 * Where a cluster's files can be when the server runs under another account than ours, which may not reach the checkout
 * or its data folder (a checkout below root's 0700 home), and where its socket goes when the path is too long for one.
 *
 * Nothing here widens access to a folder that was there before: what the account cannot reach is copied or placed in
 * `/var/lib/cardea` or a private folder for sockets.
 */
import { createHash } from "node:crypto";
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Random } from "@cardea/core/lib/random";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Account } from "./account.ts";
import type { Binaries } from "./binaries.ts";
import { hasCode } from "./system-error.ts";

/** Where root keeps what its server account could not reach otherwise. */
const sharedHome = "/var/lib/cardea";

/** Names, inside a data directory that the server's account cannot reach, the directory used instead. */
const pointerName = "cardea-location";

/** Longest folder for a socket: `sun_path` holds 107 bytes and PostgreSQL adds `/.s.PGSQL.5432`. */
const maxSocketDirBytes = 107 - "/.s.PGSQL.5432".length;

/**
 * Makes `dir` (and its parents) as a home for clusters and our own files: nobody else can list it; as root the server's
 * account can pass through it. A home that is there already keeps its permissions.
 */
export async function makeHome(dir: string, account: Account | undefined): Promise<void> {
  const first = await mkdir(dir, { recursive: true, mode: 0o700 });
  if (first === undefined || account === undefined) return;
  for (let made = dir; made.length >= first.length; made = dirname(made)) {
    await chown(made, process.geteuid?.() ?? 0, account.gid);
    await chmod(made, 0o710);
  }
}

/**
 * The data directory to use for `wanted`: itself where the account can reach it, else the one that its pointer file
 * names, chosen now if there is none. The pointer is written before anything exists at the place that it names.
 */
export async function locateDataDir(
  wanted: string,
  account: Account | undefined,
  random: Random,
  home = sharedHome,
): Promise<string> {
  await makeHome(dirname(wanted), account);
  const parent = await realpath(dirname(wanted));
  const dir = join(parent, basename(wanted));
  const pointer = join(dir, pointerName);
  const pointed = (await readIfThere(pointer))?.trim();
  if (pointed !== undefined && pointed !== "") return pointed;
  if (account === undefined || (await canReach(parent, account))) return dir;
  if ((await readIfThere(join(dir, "PG_VERSION"))) !== undefined) {
    throw new CardeaError(
      "data_directory_invalid",
      `the user \`${account.name}\` that runs postgresql cannot reach \`${dir}\`: make its parent folders searchable for it, or move it`,
    );
  }
  const place = join(home, Buffer.from(random.bytes(8)).toString("hex"));
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await writeFile(`${pointer}.new`, `${place}\n`, { flush: true });
  await rename(`${pointer}.new`, pointer);
  await makeShared(home);
  return place;
}

/**
 * The folder to bind sockets in: `wanted`, or where that is too long or out of the account's reach a short private one
 * that is the same at every start. 0700 and the account's own, in either case.
 * @throws CardeaError `data_directory_invalid` when somebody else holds the place
 */
export async function locateSocketDir(wanted: string, account: Account | undefined): Promise<string> {
  await makeHome(dirname(wanted), account);
  const parent = await realpath(dirname(wanted));
  const dir = join(parent, basename(wanted));
  const fits =
    Buffer.byteLength(dir) <= maxSocketDirBytes && (account === undefined || (await canReach(parent, account)));
  const chosen = fits
    ? dir
    : join(await runtimeDir(account), `cardea-${createHash("sha256").update(dir).digest("hex").slice(0, 16)}`);
  await makePrivate(chosen, account);
  return chosen;
}

async function runtimeDir(account: Account | undefined): Promise<string> {
  const dir = account === undefined ? tmpdir() : "/run";
  const found = await stat(dir).catch(() => undefined);
  return found?.isDirectory() === true && Buffer.byteLength(dir) + 24 <= maxSocketDirBytes ? dir : "/tmp";
}

/** Whoever can enter this folder is the superuser (its socket asks no password), so a planted one must be refused. */
async function makePrivate(dir: string, account: Account | undefined): Promise<void> {
  const ours = process.geteuid?.() ?? 0;
  const uid = account?.uid ?? ours;
  await mkdir(dir, { mode: 0o700 }).catch((error: unknown) => {
    if (!hasCode(error, "EEXIST")) throw error;
  });
  const found = await lstat(dir);
  if (!found.isDirectory() || (found.uid !== uid && found.uid !== ours)) {
    throw new CardeaError(
      "data_directory_invalid",
      `\`${dir}\` is not a folder of ours: remove it, or say who put it there`,
    );
  }
  if (account !== undefined && found.uid !== uid) await chown(dir, account.uid, account.gid);
  if ((found.mode & 0o777) !== 0o700) await chmod(dir, 0o700);
}

/**
 * The same binaries where the account can read them: as they are, or a copy in {@link sharedHome}, made once a version.
 * @throws CardeaError `database_unavailable` for a system's own binaries that the account cannot read
 */
export async function readableBinaries(
  binaries: Binaries,
  account: Account | undefined,
  home = sharedHome,
): Promise<Binaries> {
  const at = async (root: string): Promise<Binaries> => {
    const real = await realpath(root);
    return { ...binaries, root: real, initdb: join(real, "bin", "initdb"), postgres: join(real, "bin", "postgres") };
  };
  if (
    account === undefined ||
    (await canReach(
      binaries.root,
      account,
      binaries.source === "npm" ? ["bin/postgres", "bin/initdb", "share", "lib"] : ["bin/postgres", "bin/initdb"],
    ))
  )
    return at(binaries.root);
  if (binaries.source === "system") {
    throw new CardeaError(
      "database_unavailable",
      `the user \`${account.name}\` cannot read \`${binaries.root}\`: make it readable for that user`,
    );
  }
  const { size, mtimeMs } = await stat(binaries.postgres);
  const copy = join(home, `postgresql-${binaries.version}-${size.toString(36)}${Math.trunc(mtimeMs).toString(36)}`);
  if ((await stat(copy).catch(() => undefined)) === undefined) {
    await makeShared(home);
    // Its own for each attempt: the servers of one start are made side by side.
    const work = await mkdtemp(`${copy}.new-`);
    try {
      await cp(binaries.root, work, {
        recursive: true,
        verbatimSymlinks: true,
        filter: (path) => !path.endsWith(".a"),
      });
      await openToRead(work);
      await rename(work, copy).catch((error: unknown) => {
        if (!hasCode(error, "ENOTEMPTY", "EEXIST")) throw error; // another start was first
      });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  return at(copy);
}

async function makeShared(home: string): Promise<void> {
  await mkdir(home, { recursive: true, mode: 0o755 });
  await chmod(home, 0o711); // whatever the umask made of it
}

/** Gives everybody what the owner may do, short of writing. */
async function openToRead(dir: string): Promise<void> {
  await chmod(dir, 0o755);
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) await openToRead(path);
    else if (entry.isFile()) await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}

/**
 * Whether the account can search `dir` and all above it and read the `inner` paths, by their permission bits. Access
 * lists are not looked at: one that only adds access costs a needless copy.
 */
export async function canReach(dir: string, account: Account, inner: readonly string[] = []): Promise<boolean> {
  const real = await realpath(dir);
  const search: string[] = [];
  for (let at = real; ; at = dirname(at)) {
    search.push(at);
    if (at === dirname(at)) break;
  }
  for (const path of search) if (!(await mayUse(path, account, 0o1))) return false;
  for (const path of inner) if (!(await mayUse(join(real, path), account, 0o5))) return false;
  return true;
}

async function mayUse(path: string, account: Account, bits: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return false;
  const shift = found.uid === account.uid ? 6 : found.gid === account.gid ? 3 : 0;
  return ((found.mode >> shift) & bits) === bits;
}

function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch((error: unknown) => {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  });
}
