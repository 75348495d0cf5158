/**
 * The operating-system account that PostgreSQL runs under. PostgreSQL refuses to be root, so root runs it as `postgres`
 * where that user exists, else as a system user `cardea`, made here. Everybody else runs it as themselves.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { CardeaError } from "@cardea/core/contract/errors";

const run = promisify(execFile);

/** Numeric ids; passed as they are to `spawn`, which also drops root's supplementary groups. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
}

/** Candidates in order; the last one is created when none exists. */
const accountNames = ["postgres", "cardea"] as const;

/**
 * Answers the account to run PostgreSQL under, or `undefined` when this process may run it itself (it is not root).
 * @throws CardeaError `database_unavailable` when root has no such user and `useradd` cannot make one; the message says what to do
 */
export async function serverAccount(names: readonly string[] = accountNames): Promise<Account | undefined> {
  if (process.geteuid?.() !== 0) return undefined;
  for (const name of names) {
    const account = await lookUp(name);
    if (account !== undefined) return account;
  }
  const name = names.at(-1) ?? "cardea";
  try {
    // One at a time: of two at once each makes its own. A directory can be locked like a file.
    await run("flock", [
      "/etc",
      "useradd",
      "--system",
      "--user-group",
      "--no-create-home",
      "--home-dir",
      "/nonexistent",
      "--shell",
      "/usr/sbin/nologin",
      name,
    ]);
  } catch (cause) {
    // A concurrent start made it between the look-up and here.
    const account = await lookUp(name);
    if (account !== undefined) return account;
    throw new CardeaError(
      "database_unavailable",
      `postgresql cannot run as root and the user \`${name}\` could not be created: create a system user \`${name}\`, or start as an ordinary user`,
      { cause },
    );
  }
  return lookUp(name);
}

async function lookUp(name: string): Promise<Account | undefined> {
  try {
    const [uid, gid] = await Promise.all([run("id", ["-u", name]), run("id", ["-g", name])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout), name };
  } catch {
    return undefined;
  }
}
