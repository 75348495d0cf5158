import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { freePort, testServer, testVersions } from "../../../../testing/cluster.ts";
import {
  clusterOptions,
  madeClusterOptions,
  query,
  runFile,
  scratchDir,
  supervised,
} from "../../../../testing/supervised-cluster.ts";
import { serverAccount } from "./account.ts";
import { startCluster, type ClusterExit, type ClusterOptions } from "./cluster.ts";
import { findPostmaster, isAlive } from "./postmaster.ts";

/** Starts the cluster from a process of its own, which is then killed: what a killed supervisor leaves behind. */
async function startInKilledProcess(options: ClusterOptions): Promise<number> {
  const script = `
    const { startCluster } = await import(${JSON.stringify(fileURLToPath(new URL("./cluster.ts", import.meta.url)))});
    const { randomBytes } = await import("node:crypto");
    const cluster = await startCluster({ ...${JSON.stringify(options)}, random: { bytes: (n) => randomBytes(n) } });
    console.log(cluster.pid);
    setInterval(() => {}, 1000);`;
  const loader = fileURLToPath(new URL("../../../../testing/typescript-loader.mjs", import.meta.url));
  const parent = spawn(
    process.execPath,
    ["--conditions", "source", "--import", loader, "--input-type=module", "-e", script],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const said = once(createInterface(parent.stdout), "line") as Promise<[string]>; // readline's events carry the line
  const ended = once(parent, "exit").then(([code]) => {
    throw new Error(`ended before it was killed: ${String(code)}`);
  });
  const [line] = await Promise.race([said, ended]);
  parent.kill("SIGKILL");
  await ended.catch(() => undefined);
  return Number(line);
}

describe.each(testVersions)("an embedded cluster of postgresql %i survives", async (version) => {
  const available = await testServer(version);

  describe.skipIf(!available)("the end of its supervisor", () => {
    test.each(["a socket", "a port"])(
      "on %s: it runs on and the next start adopts it, sessions included",
      async (over) => {
        const base = await madeClusterOptions(version, await scratchDir());
        const options = over === "a port" ? { ...base, listen: { host: "127.0.0.1", port: await freePort() } } : base;
        const pid = await startInKilledProcess(options);
        expect(await isAlive(pid)).toBe(true);

        const cluster = await supervised(options);
        expect({ pid: cluster.pid, adopted: cluster.adopted }).toEqual({ pid, adopted: true });
        const session = new Client(cluster.connection());
        await session.connect();
        expect((await supervised(options)).pid).toBe(pid);
        expect((await session.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
        await session.end();
        await cluster.stop();
        expect(await isAlive(pid)).toBe(false);
      },
    );

    test("with other settings than now: it is restarted with these", async () => {
      const options = await madeClusterOptions(version, await scratchDir());
      const pid = await startInKilledProcess(options);
      const second = await supervised({ ...options, settings: { work_mem: "5MB" } });
      expect(second.adopted).toBe(false);
      expect(await isAlive(pid)).toBe(false);
      expect(await query(second.connection(), "show work_mem")).toEqual([{ work_mem: "5MB" }]);
    });
  });

  describe.skipIf(!available)("its own end", () => {
    test("by kill -9 under load: it is restarted, we are told, and nothing committed is lost", async () => {
      const exits: ClusterExit[] = [];
      const cluster = await supervised({
        ...(await madeClusterOptions(version, await scratchDir())),
        onExit: (exit) => exits.push(exit),
      });
      const session = new Client(cluster.connection());
      session.on("error", () => undefined);
      await session.connect();
      await session.query("create table t as select 7 as n");
      const { pid } = cluster;
      if (pid === undefined) throw new Error("not running");
      process.kill(pid, "SIGKILL");
      await expect.poll(() => cluster.pid !== undefined && cluster.pid !== pid, { timeout: 15_000 }).toBe(true);
      expect(await query(cluster.connection(), "select n from t")).toEqual([{ n: 7 }]);
      expect(exits[0]).toMatchObject({
        restartInMs: 100,
        reason: expect.stringContaining("ended unexpectedly") as string,
      });
    });

    test("of an adopted server too", async () => {
      const options = await madeClusterOptions(version, await scratchDir());
      const pid = await startInKilledProcess(options);
      const cluster = await supervised(options);
      expect(cluster.pid).toBe(pid);
      process.kill(pid, "SIGKILL");
      await expect.poll(() => cluster.pid !== undefined && cluster.pid !== pid, { timeout: 15_000 }).toBe(true);
      expect(await query(cluster.connection(), "select 1 as one")).toEqual([{ one: 1 }]);
    });

    test("again and again: it waits longer each time, and stop ends the trying", async () => {
      const exits: ClusterExit[] = [];
      const options = {
        ...(await madeClusterOptions(version, await scratchDir())),
        onExit: (exit: ClusterExit) => exits.push(exit),
      };
      const cluster = await supervised(options);
      await writeFile(join(cluster.dataDir, "postgresql.conf"), "no_such_setting = 1\n");
      if (cluster.pid !== undefined) process.kill(cluster.pid, "SIGKILL");
      await expect.poll(() => exits.length, { timeout: 15_000 }).toBeGreaterThanOrEqual(3);
      expect(exits.slice(0, 3).map((exit) => exit.restartInMs)).toEqual([100, 200, 400]);
      expect(exits[1]?.reason).toContain("no_such_setting");
      await cluster.stop();
      const told = exits.length;
      await new Promise((done) => setTimeout(done, 1_000));
      expect(exits.length).toBe(told);
    });

    test("with a pid file that names a dead process, or one that is something else by now", async () => {
      const options = await madeClusterOptions(version, await scratchDir());
      const first = await supervised(options);
      const pidFile = join(first.dataDir, "postmaster.pid");
      const lines = (await readFile(pidFile, "utf8")).split("\n");
      await first.stop();

      const gone = spawn("true");
      await once(gone, "exit");
      await writeFile(pidFile, [String(gone.pid), ...lines.slice(1)].join("\n"));
      expect(await findPostmaster(first.dataDir)).toEqual({ kind: "stale", pid: gone.pid, running: false });
      const second = await supervised(options);
      expect(second.adopted).toBe(false);
      await second.stop();

      // Under the server's own account, so that the server itself would take it for a server.
      const account = await serverAccount();
      const other = spawn("sleep", ["60"], account === undefined ? {} : { uid: account.uid, gid: account.gid });
      onTestFinished(() => void other.kill());
      await once(other, "spawn");
      await writeFile(pidFile, [String(other.pid), ...lines.slice(1)].join("\n"));
      expect(await findPostmaster(first.dataDir)).toEqual({ kind: "stale", pid: other.pid, running: true });
      expect((await supervised(options)).adopted).toBe(false);
      expect(other.exitCode ?? other.signalCode).toBe(null);
    });

    test("with an empty pid file, as a crash of the machine may leave it", async () => {
      const options = await madeClusterOptions(version, await scratchDir());
      const { dataDir, stop } = await supervised(options).then((cluster) => ({
        dataDir: cluster.dataDir,
        stop: () => cluster.stop(),
      }));
      await stop();
      await writeFile(join(dataDir, "postmaster.pid"), "");
      const failedOrStarted = await supervised(options);
      expect(await query(failedOrStarted.connection(), "select 1 as one")).toEqual([{ one: 1 }]);
    });
  });

  describe.skipIf(!available)("being stopped", () => {
    test("while it does not answer: fast, then immediate, then by force, each within its limit", async () => {
      const options = {
        ...(await madeClusterOptions(version, await scratchDir())),
        shutdown: { fastShutdownMs: 200, immediateShutdownMs: 200 },
      };
      const cluster = await supervised(options);
      const { pid } = cluster;
      if (pid === undefined) throw new Error("not running");
      process.kill(pid, "SIGSTOP");
      await cluster.stop();
      expect(await isAlive(pid)).toBe(false);
      const again = await supervised(options);
      expect(await query(again.connection(), "select 1 as one")).toEqual([{ one: 1 }]);
    });
  });

  describe.skipIf(!available)("an interrupted beginning", () => {
    test("abandoned by its signal: nothing runs and nothing is half made", async () => {
      for (const afterMs of [0, 30, 150, 400]) {
        const dir = await scratchDir();
        const options = await clusterOptions(version, dir);
        const signal = AbortSignal.timeout(afterMs);
        const outcome = await startCluster({ ...options, signal }).then(
          (cluster) => cluster.stop().then(() => "started"),
          (error: unknown) => (error instanceof Error ? error.name : "?"),
        );
        expect(["TimeoutError", "started"]).toContain(outcome);
        const { stdout } = await runFile("ps", ["-eo", "args"]);
        expect(stdout.split("\n").filter((line) => line.includes(dir) && !line.startsWith("ps"))).toEqual([]);
        expect((await readdir(dir)).filter((name) => name.includes(".init-"))).toEqual([]);
        expect((await supervised(options)).adopted).toBe(false);
      }
    });

    test("by a crash while the directory was made: what it left is removed, and what another process makes is not", async () => {
      const options = await clusterOptions(version, await scratchDir());
      const gone = spawn("true");
      await once(gone, "exit");
      const left = `${options.dataDir}.init-${gone.pid}`;
      const busy = `${options.dataDir}.init-1`;
      await mkdir(join(left, "data"), { recursive: true });
      await mkdir(busy);
      await supervised(options);
      expect([existsSync(left), existsSync(busy)]).toEqual([false, true]);
    });

    test("two starts at once on nothing make one cluster, with one server", async () => {
      const options = await clusterOptions(version, await scratchDir());
      const pids = await Promise.all([startInKilledProcess(options), startInKilledProcess(options)]);
      expect(new Set(pids).size).toBe(1);
    });
  });

  test.skipIf(!available)("keeps its log below the cap at each start, and goes on writing to it", async () => {
    const base = await madeClusterOptions(version, await scratchDir());
    const options = { ...base, log: { ...base.log, maxBytes: 1_000 } };
    const first = await supervised(options);
    await appendFile(options.log.path, "x".repeat(2_000));
    await first.stop();
    const second = await supervised(options);
    expect((await stat(`${options.log.path}.1`)).size).toBeGreaterThan(2_000);
    await query(second.connection(), "select 1/0").catch(() => undefined);
    await second.stop();
    const log = await readFile(options.log.path, "utf8");
    expect(log).toContain("division by zero");
    expect(log).not.toContain("xxx");
  });
});
