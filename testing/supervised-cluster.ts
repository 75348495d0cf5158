/** Options for tests of the embedded cluster's supervision, in a temporary folder that goes after each test. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client, type ClientConfig } from "pg";
import { afterAll, onTestFinished } from "vitest";
import { findBinaries, type Binaries } from "@cardea/server/embedded/binaries";
import { startCluster, type Cluster, type ClusterOptions } from "@cardea/server/embedded/cluster";
import { readPidFile } from "@cardea/server/embedded/postmaster";

export const runFile = promisify(execFile);
export const isRoot = process.geteuid?.() === 0;
export const systemRandom = { bytes: (length: number): Uint8Array => randomBytes(length) };

export async function binariesOf(major: number): Promise<Binaries> {
  const result = await findBinaries({ major });
  if (result.kind === "unavailable") throw new Error(result.looked.join("; "));
  return result.binaries;
}

/** A folder that everybody may pass through; whatever server is left in it is killed when the test is over. */
export async function scratchDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "cardea-embedded-"));
  await chmod(dir, 0o711);
  onTestFinished(async () => {
    const left = await readPidFile(join(dir, "data"));
    if (typeof left === "object") {
      const { stdout } = await runFile("ps", ["-o", "args=", "-p", String(left.pid)]).catch(() => ({ stdout: "" }));
      if (stdout.includes(dir)) process.kill(left.pid, "SIGQUIT");
    }
    await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  });
  return dir;
}

export async function clusterOptions(major: number, dir: string): Promise<ClusterOptions> {
  return {
    dataDir: join(dir, "data"),
    binaries: await binariesOf(major),
    listen: { socketDir: join(dir, "socket") },
    superuser: "cardea",
    log: { path: join(dir, "log", "postgres.log") },
    random: systemRandom,
    sharedHome: join(dir, "shared"),
  };
}

const templates = new Map<number, Promise<string>>();
const homes: string[] = [];
afterAll(async () => {
  for (const home of homes) await rm(home, { recursive: true, force: true });
});

/** Like {@link clusterOptions}, with the data directory made already: a copy of one that this test file made before. */
export async function madeClusterOptions(major: number, dir: string): Promise<ClusterOptions> {
  const options = await clusterOptions(major, dir);
  const template = templates.get(major) ?? makeTemplate(options);
  templates.set(major, template);
  await mkdir(dir, { recursive: true, mode: 0o711 });
  await runFile("cp", ["-a", await template, options.dataDir]);
  return options;
}

async function makeTemplate(options: ClusterOptions): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "cardea-embedded-template-"));
  await chmod(home, 0o711);
  homes.push(home);
  const paths = { dataDir: join(home, "data"), listen: { socketDir: join(home, "socket") } };
  const cluster = await startCluster({ ...options, ...paths, log: { path: join(home, "log") } });
  await cluster.stop();
  return cluster.dataDir;
}

/** Starts a cluster and stops it when the test is over, unless the test did. */
export async function supervised(options: ClusterOptions): Promise<Cluster> {
  const cluster = await startCluster(options);
  onTestFinished(() => cluster.stop());
  return cluster;
}

export async function query(config: ClientConfig, text: string): Promise<unknown[]> {
  const client = new Client(config);
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}
