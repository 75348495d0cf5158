import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions } from "./cluster.ts";

describe.each(testVersions)("a test cluster of postgresql %i", async (version) => {
  const available = await testServer(version);

  test.skipIf(!available)("answers over tcp and over its socket, and leaves nothing behind", async () => {
    const cluster = await startTestCluster({ version });
    const overTcp = new Client({ connectionString: cluster.url() });
    const overSocket = new Client({
      host: cluster.socketDir,
      port: cluster.port,
      user: "postgres",
      database: "postgres",
    });
    await Promise.all([overTcp.connect(), overSocket.connect()]);
    const row = await overTcp.query(
      "select current_setting('server_version_num')::int / 10000 as major, current_setting('server_encoding') as encoding",
    );
    expect(row.rows).toEqual([{ major: version, encoding: "UTF8" }]);
    await Promise.all([overTcp.end(), overSocket.end()]);
    await cluster.stop();
    expect(existsSync(cluster.socketDir)).toBe(false);
  });

  test.skipIf(!available)("asks everybody for a password over tcp", async () => {
    await using cluster = await startTestCluster({ version });
    const client = new Client({ connectionString: cluster.url({ password: "wrong" }) });
    await expect(client.connect()).rejects.toMatchObject({ code: "28P01" });
  });

  test.skipIf(!available)("clones a database", async () => {
    await using cluster = await startTestCluster({ version });
    const first = await cluster.createDatabase();
    const client = new Client({ connectionString: first.url });
    await client.connect();
    await client.query("create table t as select 7 as n");
    await client.end();
    const second = new Client({ connectionString: (await cluster.createDatabase(first.name)).url });
    await second.connect();
    expect((await second.query("select n from t")).rows).toEqual([{ n: 7 }]);
    await second.end();
  });

  test.skipIf(!available)("ends with the process that started it, however that dies", async () => {
    const module = fileURLToPath(new URL("./cluster.ts", import.meta.url));
    const script = `const { startTestCluster } = await import(${JSON.stringify(module)});
      const cluster = await startTestCluster({ version: ${version} }); console.log(cluster.socketDir); setInterval(() => {}, 1000);`;
    const loader = new URL("./typescript-loader.mjs", import.meta.url).href;
    const child = spawn(
      process.execPath,
      ["--conditions", "source", "--import", loader, "--input-type=module", "-e", script],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const socketDir = await new Promise<string>((done) =>
      child.stdout.once("data", (line: Buffer) => done(line.toString().trim())),
    );
    child.kill("SIGKILL");
    await expect.poll(() => existsSync(socketDir), { timeout: 5_000 }).toBe(false);
  });
});
