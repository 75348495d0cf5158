import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { freePort, testServer, testVersions } from "../../../../testing/cluster.ts";
import {
  clusterOptions,
  madeClusterOptions,
  query,
  scratchDir,
  supervised,
} from "../../../../testing/supervised-cluster.ts";
import { startCluster } from "./cluster.ts";
import { ensureDatabase } from "./database.ts";
import { isAlive, readPidFile } from "./postmaster.ts";

const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

describe.each(testVersions)("an embedded cluster of postgresql %i", async (version) => {
  const available = await testServer(version);

  test.skipIf(!available)("is made, keeps what was committed and is open again within 300 ms", async () => {
    const options = await clusterOptions(version, await scratchDir());
    const first = await supervised(options);
    expect(first.adopted).toBe(false);
    await query({ connectionString: first.url() }, "create table t as select 7 as n");
    await first.stop();
    expect(first.pid).toBeUndefined();

    let fastestMs = Infinity; // of three: other tests want the processor too
    for (let start = 1; start <= 3; start++) {
      const startedAt = performance.now();
      const again = await supervised(options);
      fastestMs = Math.min(fastestMs, performance.now() - startedAt);
      expect(await query(again.connection(), "select n from t")).toEqual([{ n: 7 }]);
      await again.stop();
    }
    expect(fastestMs).toBeLessThan(300);
  });

  test.skipIf(!available)("speaks UTF-8, sorts by code point and knows upper case beyond ASCII", async () => {
    const cluster = await supervised(await madeClusterOptions(version, await scratchDir()));
    const rows = await query(
      cluster.connection(),
      `select current_setting('server_encoding') as encoding, upper('ééé') as upper, array(select x from unnest(array['b', 'a', 'B', 'é']) x order by x) as sorted`,
    );
    expect(rows).toEqual([{ encoding: "UTF8", upper: "ÉÉÉ", sorted: ["B", "a", "b", "é"] }]);
  });

  test.skipIf(!available)(
    "on a socket has no port, and nobody else can enter its folders or read its files",
    async () => {
      const options = await madeClusterOptions(version, await scratchDir());
      const cluster = await supervised(options);
      expect(
        await query(
          cluster.connection(),
          "select current_setting('listen_addresses') as addresses, inet_server_addr() as address",
        ),
      ).toEqual([{ addresses: "", address: null }]);
      expect(await mode(cluster.dataDir)).toBe("700");
      expect(await mode(cluster.connection().host)).toBe("700");
      expect(await mode(join(cluster.dataDir, "cardea-superuser-password"))).toBe("600");
      expect(await mode(options.log.path)).toBe("600");
    },
  );

  test.skipIf(!available)("on a port has no socket and asks for the password that was generated with it", async () => {
    const dir = await scratchDir();
    const listen = { host: "127.0.0.1", port: await freePort() };
    const cluster = await supervised({ ...(await clusterOptions(version, dir)), listen });
    expect(
      await query({ connectionString: cluster.url() }, "select current_setting('unix_socket_directories') as sockets"),
    ).toEqual([{ sockets: "" }]);
    const { password } = cluster.connection();
    expect(password).toMatch(/^[\w-]{43}$/);
    await expect(query({ ...cluster.connection(), password: "wrong" }, "select")).rejects.toMatchObject({
      code: "28P01",
    });
    expect(await readFile(join(dir, "log", "postgres.log"), "utf8")).not.toContain(password);
    expect(await readFile(`/proc/${cluster.pid}/cmdline`, "utf8")).not.toContain(password);
  });

  test.skipIf(!available)("does not start on a port that is taken, and names the setting", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void taken.close());
    await new Promise((done) => taken.once("listening", done));
    const address = taken.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const options = {
      ...(await madeClusterOptions(version, await scratchDir())),
      listen: { host: "127.0.0.1", port: address.port, setting: "CARDEA_SAMPLE_PORT" },
    };
    const failed = startCluster(options);
    await expect(failed).rejects.toMatchObject({ code: "port_taken" });
    await expect(failed).rejects.toThrow(/set `CARDEA_SAMPLE_PORT` to a free one/);
  });

  test.skipIf(!available)(
    "uses a short private folder for a socket whose path would be too long, the same at every start",
    async () => {
      const dir = await scratchDir();
      const options = {
        ...(await madeClusterOptions(version, dir)),
        listen: { socketDir: join(dir, "long".repeat(25), "socket") },
      };
      const first = await supervised(options);
      const { host } = first.connection();
      onTestFinished(() => rm(host, { recursive: true, force: true }));
      expect(Buffer.byteLength(join(host, ".s.PGSQL.5432"))).toBeLessThanOrEqual(107);
      expect(await mode(host)).toBe("700");
      expect(await query({ connectionString: first.url() }, "select 1 as one")).toEqual([{ one: 1 }]);
      await first.stop();
      expect((await supervised(options)).connection().host).toBe(host);
    },
  );

  test.skipIf(!available)("works in folders with spaces, quotes and commas in their names", async () => {
    const dir = join(await scratchDir(), `it's "odd", ü`);
    const cluster = await supervised(await madeClusterOptions(version, dir));
    expect(await query({ connectionString: cluster.url() }, "select 1 as one")).toEqual([{ one: 1 }]);
    expect((await supervised(await clusterOptions(version, dir))).adopted).toBe(true);
  });

  test.skipIf(!available)("refuses a directory that holds something else, and leaves it alone", async () => {
    const options = await clusterOptions(version, await scratchDir());
    await mkdir(options.dataDir);
    await writeFile(join(options.dataDir, "thesis.txt"), "years of work");
    await expect(startCluster(options)).rejects.toMatchObject({ code: "data_directory_invalid" });
    expect(await readdir(options.dataDir)).toEqual(["thesis.txt"]);
  });

  test.skipIf(!available)("refuses a directory of another major version", async () => {
    const options = await clusterOptions(version, await scratchDir());
    await mkdir(options.dataDir);
    await writeFile(join(options.dataDir, "PG_VERSION"), "14\n");
    const failed = startCluster(options);
    await expect(failed).rejects.toMatchObject({ code: "data_directory_invalid" });
    await expect(failed).rejects.toThrow(/made by postgresql 14/);
  });

  test.skipIf(!available)("refuses a host name, which may stand for several addresses", async () => {
    const options = { ...(await clusterOptions(version, await scratchDir())), listen: { host: "localhost", port: 1 } };
    await expect(startCluster(options)).rejects.toMatchObject({ code: "setting_invalid" });
    expect(existsSync(options.dataDir)).toBe(false);
  });

  test.skipIf(!available)("says what the server said when a setting keeps it from starting", async () => {
    const options = { ...(await clusterOptions(version, await scratchDir())), settings: { shared_buffers: "lots" } };
    const failed = startCluster(options);
    await expect(failed).rejects.toMatchObject({ code: "database_unavailable" });
    await expect(failed).rejects.toThrow(/shared_buffers/);
  });

  test.skipIf(!available)("gives up within its time-out, with the log's end, and leaves nothing running", async () => {
    const options = await madeClusterOptions(version, await scratchDir());
    const failed = startCluster({ ...options, startTimeoutMs: 1 });
    await expect(failed).rejects.toMatchObject({ code: "timeout" });
    const pid = await readPidFile(options.dataDir);
    expect(typeof pid === "object" && (await isAlive(pid.pid))).toBe(false);
    expect((await supervised(options)).adopted).toBe(false);
  });

  test.skipIf(!available)("keeps passwords out of its log, failed statements' included", async () => {
    const options = await madeClusterOptions(version, await scratchDir());
    const cluster = await supervised(options);
    for (const statement of [
      "create role x password 'hunter2' nonsense",
      "create role postgres_x in role none_such password 'hunter2'",
      "select 'hunter2'::int",
    ]) {
      await expect(query(cluster.connection(), statement)).rejects.toThrow();
    }
    await query(cluster.connection(), "create table t (secret text unique); insert into t values ('hunter3')");
    await expect(query(cluster.connection(), "insert into t values ('hunter3')")).rejects.toMatchObject({
      code: "23505",
    });
    const log = await readFile(options.log.path, "utf8");
    expect(log).toContain("duplicate key");
    expect(log).not.toContain("hunter3");
    expect(log).not.toContain("password 'hunter2'");
  });

  test.skipIf(!available)("makes a database once, whoever asks at the same time", async () => {
    const cluster = await supervised(await madeClusterOptions(version, await scratchDir()));
    const made = await Promise.all([1, 2, 3, 4].map(() => ensureDatabase(cluster.connection(), `odd "name"`)));
    expect(made.filter(Boolean)).toHaveLength(1);
    expect(await query(cluster.connection(`odd "name"`), "select current_database() as name")).toEqual([
      { name: `odd "name"` },
    ]);
  });

  test.skipIf(!available)("stops with a transaction open, within its limits", async () => {
    const cluster = await supervised(await madeClusterOptions(version, await scratchDir()));
    const session = new Client(cluster.connection());
    const told = new Promise((done) => session.on("error", done));
    await session.connect();
    await session.query("begin; create table t ()");
    const startedAt = performance.now();
    await Promise.all([cluster.stop(), cluster.stop()]);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(await told).toMatchObject({ code: "57P01" });
    expect(existsSync(join(cluster.dataDir, "postmaster.pid"))).toBe(false);
  });
});

test("the temporary folder of these tests is short enough for sockets", () => {
  expect(Buffer.byteLength(join(tmpdir(), "cardea-embedded-123456/socket"))).toBeLessThan(93);
});
