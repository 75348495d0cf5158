/**
 * Throw-away PostgreSQL clusters for tests: real servers of a given major version on a free loopback port and a private
 * Unix socket, in a temporary folder. Any package's tests may call it; nothing that ships does.
 *
 * `initdb` runs once a version and machine (a cached template in the temporary folder); each cluster is a copy of it. A
 * server ends, and its folder goes, with `stop()` and equally when the process that started it dies by any signal.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, mkdtemp, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Client } from "pg";
import { serverAccount, type Account } from "@cardea/server/embedded/account";
import { findBinaries, type Binaries } from "@cardea/server/embedded/binaries";
import { readableBinaries } from "@cardea/server/embedded/placement";
import { hasCode } from "@cardea/server/embedded/system-error";

const run = promisify(execFile);
const superuser = "postgres";
const password = "postgres";

/** 15 is the oldest supported version (Debian's), 18 the embedded one. */
export type TestVersion = 15 | 18;
export const testVersions: readonly TestVersion[] = [15, 18];

export interface TestDatabase {
  readonly name: string;
  /** The superuser's connection string for this database, over TCP. */
  readonly url: string;
}

export interface TestCluster extends AsyncDisposable {
  readonly version: TestVersion;
  /** Loopback. TCP always asks for a password (SCRAM), from the superuser too. */
  readonly host: string;
  readonly port: number;
  /** 0700, for `host` of a pg client. Over the socket the superuser needs no password, others do. */
  readonly socketDir: string;
  readonly superuser: { readonly user: string; readonly password: string };
  /** A connection string over TCP; default: the superuser's to the database `postgres`. */
  url(options?: { readonly database?: string; readonly user?: string; readonly password?: string }): string;
  /** Makes a database with a unique name; from `template` (a database nobody is connected to) when given. */
  createDatabase(template?: string): Promise<TestDatabase>;
  /** Shuts down at once and removes the folder. Idempotent. */
  stop(): Promise<void>;
}

export interface TestClusterOptions {
  readonly version: TestVersion;
  /** Keep `fsync` on, for tests that pull the plug. Default false. */
  readonly durable?: boolean;
  /** Further server settings, such as `{ max_connections: "20" }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export type TestServerAvailability =
  { readonly kind: "available" } | { readonly kind: "unavailable"; readonly reason: string };

/**
 * Says whether this machine has the server, so that a suite can be skipped: `describe.skipIf(!(await testServer(15)))`.
 * @throws Error under `CI=true` when it is missing, where nothing may be skipped
 */
export async function testServer(version: TestVersion): Promise<boolean> {
  const availability = await testServerAvailability(version);
  if (availability.kind === "unavailable" && process.env["CI"] === "true") throw new Error(availability.reason);
  return availability.kind === "available";
}

/** Like {@link testServer}, with the reason and never throwing. */
export async function testServerAvailability(version: TestVersion): Promise<TestServerAvailability> {
  const result = await findBinaries({ major: version });
  if (result.kind === "found") return { kind: "available" };
  return {
    kind: "unavailable",
    reason: `no postgresql ${version} here (looked at ${result.looked.join("; ")}): install it, on debian by \`apt-get install postgresql-${version}\``,
  };
}

/**
 * Starts a cluster; ready when it answers. The caller stops it (or declares it with `await using`).
 * @throws Error when the version is not on this machine (see {@link testServer}) or the server does not start in 20 s
 */
export async function startTestCluster(options: TestClusterOptions): Promise<TestCluster> {
  const result = await findBinaries({ major: options.version });
  if (result.kind === "unavailable")
    throw new Error(`no postgresql ${options.version} here: looked at ${result.looked.join("; ")}`);
  const account = await serverAccount();
  const binaries = await readableBinaries(result.binaries, account);
  const template = await templateDir(binaries, account);
  const home = await privateDir("cardea-test-", account);
  const dataDir = join(home, "data");
  try {
    await run("cp", ["-a", template, dataDir]);
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      const outcome = await launch(binaries, account, home, port, options);
      if (typeof outcome !== "string") return cluster(outcome, home, port, options.version);
      // Another worker may take the free port between our look and the server's bind.
      if (attempt === 5 || !outcome.includes("Address already in use"))
        throw new Error(`postgresql ${options.version} did not start: ${outcome}`);
    }
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
}

function cluster(server: Server, home: string, port: number, version: TestVersion): TestCluster {
  const host = "127.0.0.1";
  const url: TestCluster["url"] = ({
    database = "postgres",
    user = superuser,
    password: secret = user === superuser ? password : "",
  } = {}) =>
    `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(secret)}@${host}:${port}/${encodeURIComponent(database)}`;
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    (stopping ??= (async () => {
      await ended(server.process, () => server.process.kill("SIGQUIT"));
      await ended(server.watchdog, () => server.watchdog.stdin?.end());
    })());
  return {
    version,
    host,
    port,
    socketDir: home,
    superuser: { user: superuser, password },
    url,
    async createDatabase(template) {
      const name = `t_${randomBytes(6).toString("hex")}`;
      const client = new Client({ connectionString: url() });
      await client.connect();
      try {
        await client.query(
          `create database ${name}${template === undefined ? "" : ` template ${client.escapeIdentifier(template)}`}`,
        );
      } finally {
        await client.end();
      }
      return { name, url: url({ database: name }) };
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function ended(child: ChildProcess, end: () => void): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  const exit = new Promise((done) => child.once("exit", done));
  end();
  await exit;
}

/**
 * A shell that waits on a pipe from this process. When the pipe closes, by `stop` or by our death, it ends the server if
 * that still runs (the data folder's pid file says so) and removes the files.
 */
const watchdog = `read -r _
[ "$(head -n 1 "$2/data/postmaster.pid" 2>/dev/null)" = "$1" ] && kill -QUIT "$1" && while kill -0 "$1" 2>/dev/null; do sleep 0.1; done
rm -rf "$2"`;

interface Server {
  readonly process: ChildProcess;
  readonly watchdog: ChildProcess;
}

async function launch(
  binaries: Binaries,
  account: Account | undefined,
  home: string,
  port: number,
  options: TestClusterOptions,
): Promise<Server | string> {
  const settings: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: home,
    shared_buffers: "32MB",
    ...(options.durable === true ? {} : { fsync: "off", full_page_writes: "off", synchronous_commit: "off" }),
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const identity = {
    detached: true, // a terminal's Ctrl-C reaches the test run, which stops the server in its own order
    env: { PATH: process.env["PATH"], LC_ALL: "C" },
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
  };
  const log = await open(join(home, "log"), "a");
  const server = spawn(binaries.postgres, ["-D", join(home, "data"), ...flags], {
    ...identity,
    stdio: ["ignore", log.fd, log.fd],
  });
  await log.close();
  const exit = new AbortController(); // aborted when the server is gone
  server.once("error", () => exit.abort());
  server.once("exit", () => exit.abort());
  server.unref();
  const guard = spawn("/bin/sh", ["-c", watchdog, "watchdog", String(server.pid), home], {
    ...identity,
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.unref();
  for (let waitedMs = 0; waitedMs < 20_000 && !exit.signal.aborted; waitedMs += 10) {
    const pidFile = await readFile(join(home, "data", "postmaster.pid"), "utf8").catch(() => "");
    if (pidFile.split("\n")[7]?.trim() === "ready") return { process: server, watchdog: guard };
    await sleep(10);
  }
  server.kill("SIGQUIT");
  guard.kill("SIGKILL"); // its folder is still wanted for another attempt
  return (await readFile(join(home, "log"), "utf8").catch(() => "")).slice(-2_000);
}

/** The initialised data folder that clusters of this version are copied from; made once, by whoever renames first. */
async function templateDir(binaries: Binaries, account: Account | undefined): Promise<string> {
  const uid = account?.uid ?? process.geteuid?.() ?? 0;
  const dir = join(tmpdir(), `cardea-test-template-${binaries.version}-${uid}-v1`);
  const found = await stat(dir).catch(() => undefined);
  if (found !== undefined) {
    // The name is guessable and the folder is shared: never run what another user planted.
    if (found.uid !== uid) throw new Error(`\`${dir}\` belongs to another user: remove it`);
    return dir;
  }
  const work = await privateDir("cardea-test-init-", account);
  try {
    const data = join(work, "data");
    await mkdir(data, { mode: 0o700 });
    await writeFile(join(work, "pw"), password);
    if (account !== undefined) {
      await chown(data, account.uid, account.gid);
      await chown(join(work, "pw"), account.uid, account.gid);
    }
    const locale =
      binaries.major >= 17
        ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        : ["--locale=C.UTF-8"];
    const args = [
      "-D",
      data,
      "-U",
      superuser,
      "-E",
      "UTF8",
      ...locale,
      `--pwfile=${join(work, "pw")}`,
      "--auth-host=scram-sha-256",
      "--auth-local=trust",
      "--wal-segsize=1",
      "--no-sync",
    ];
    await run(binaries.initdb, args, {
      cwd: work,
      env: { PATH: process.env["PATH"], LC_ALL: "C" },
      ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
    });
    const hba = [
      "local all postgres trust",
      "local all all scram-sha-256",
      "host all all 127.0.0.1/32 scram-sha-256",
      "host replication all 127.0.0.1/32 scram-sha-256",
    ];
    await writeFile(join(data, "pg_hba.conf"), `${hba.join("\n")}\n`);
    await rename(data, dir).catch((error: unknown) => {
      if (!hasCode(error, "ENOTEMPTY", "EEXIST")) throw error; // another worker was first: its template is as good
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return dir;
}

async function privateDir(prefix: string, account: Account | undefined): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), prefix));
  await chmod(dir, 0o700);
  if (account !== undefined) await chown(dir, account.uid, account.gid);
  return dir;
}

/** A loopback port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const probe = createServer();
    probe.once("error", failed);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => {
        if (address === null || typeof address === "string") failed(new Error("no port"));
        else done(address.port);
      });
    });
  });
}
