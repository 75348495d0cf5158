import { readFile, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort, startTestCluster, testServer, type TestCluster } from "../cluster.ts";
import { makeStackHome } from "../whole-stack.ts";
import { runCli, startServerProgram, type Program } from "./program.ts";

const patienceMs = 120_000;

describe.skipIf(!(await testServer(15)))("`cardea init` with somebody's own PostgreSQL 15", () => {
  let cluster: TestCluster;
  let home: Awaited<ReturnType<typeof makeStackHome>>;
  const programs: Program[] = [];

  beforeAll(async () => {
    [cluster, home] = await Promise.all([startTestCluster({ version: 15 }), makeStackHome()]);
    const client = new Client(cluster.url());
    await client.connect();
    await client.query("create role app_ro nologin; create role db_admin login createrole password 'first steps'");
    await client.query(
      "create table orders (id int); insert into orders values (1), (2); grant select on orders to app_ro",
    );
    await client.end();
    await writeFile(join(home.path, "password"), "first steps\n", { mode: 0o600 });
  }, patienceMs);

  afterAll(async () => {
    for (const program of programs.reverse()) await program[Symbol.asyncDispose]();
    await cluster.stop();
    await home[Symbol.asyncDispose]();
  }, patienceMs);

  const init = (directory: string, ...more: string[]) => {
    const { host, port } = cluster;
    const flags = [
      "--name",
      "my-db",
      "--host",
      host,
      "--port",
      String(port),
      "--database",
      "postgres",
      "--user",
      "db_admin",
    ];
    return runCli([
      "init",
      "--yes",
      ...flags,
      "--password-file",
      join(home.path, "password"),
      "--tls",
      "disable",
      "--read",
      "app_ro",
      "--directory",
      directory,
      ...more,
    ]);
  };

  it(
    "names the privilege that is missing, and the SQL that grants it is right",
    async () => {
      const first = await init(join(home.path, "first"));
      expect(first.exit, first.output).toBe(0);
      expect(first.output).toContain("lacks something");
      const fixes = first.output
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => /^(grant|alter) /i.test(line));
      expect(fixes.length).toBeGreaterThan(0);
      const client = new Client(cluster.url());
      await client.connect();
      for (const fix of fixes) await client.query(fix);
      await client.end();
      const second = await init(join(home.path, "own"));
      expect(second.output).toContain("every privilege that Cardea needs is there");
    },
    patienceMs,
  );

  it("overwrites nothing", async () => {
    const again = await init(join(home.path, "own"));
    expect(again).toMatchObject({ exit: 2 });
    expect(again.output).toContain("overwrites nothing");
  });

  it("leads to a first key by the steps that it prints", async () => {
    const directory = join(home.path, "own");
    const port = await freePort();
    const settings = join(directory, "cardea.yaml");
    await writeFile(settings, (await readFile(settings, "utf8")).replaceAll("7400", String(port)));
    const env = {
      CARDEA_HOME: join(home.path, "person"),
      CARDEA_URL: `http://localhost:${String(port)}`,
      CARDEA_DATA: undefined,
    };
    const cardea = (args: string[], input?: string) =>
      runCli(args, { cwd: directory, env, ...(input !== undefined && { input }) });

    const server = startServerProgram(["server"], { cwd: directory, env });
    programs.push(server);
    await server.says("the control plane is ready");
    const tokenFile = join(directory, ".cardea/setup-token");
    expect((await stat(tokenFile)).mode & 0o777).toBe(0o600);
    const setupToken = await readFile(tokenFile, "utf8");
    expect(await cardea(["login", "--invitation", "-"], setupToken)).toMatchObject({ exit: 0 });
    const spent = await runCli(["login", "--invitation", "-"], {
      cwd: directory,
      env: { ...env, CARDEA_HOME: join(home.path, "thief") },
      input: setupToken,
    });
    expect(spent.output).toContain("invitation_invalid");

    const invited = await cardea(["outposts", "invite"]);
    expect(invited.exit, invited.output).toBe(0);
    const enrolmentToken = /cardea-enrol-[A-Za-z0-9_-]+/.exec(invited.output)?.[0] ?? "";
    const outpost = startServerProgram(["outpost", "--enrol", "-"], { cwd: directory, env, input: enrolmentToken });
    programs.push(outpost);
    await expect
      .poll(async () => (await cardea(["resources"])).output, { timeout: 30_000, interval: 500 })
      .toContain("my-db");
    await expect
      .poll(async () => (await cardea(["resource", "check", "my-db"])).output, { timeout: 30_000, interval: 500 })
      .toContain("is ready");

    expect(await cardea(["policy", "apply", "policy.yaml"])).toMatchObject({ exit: 0 });
    expect((await cardea(["people", "change", "admin", "--groups", "engineering"])).exit).toBe(0);
    const driver = createRequire(import.meta.url).resolve("pg");
    const script = `const c = new (require(${JSON.stringify(driver)}).Client)();
      c.connect().then(() => c.query('select count(*) as n from orders')).then((r) => { console.log('orders', r.rows[0].n); return c.end(); })`;
    const ran = await cardea([
      "run",
      "my-db",
      "--role",
      "read",
      "--for",
      "5m",
      "--why",
      "first key",
      "--",
      process.execPath,
      "-e",
      script,
    ]);
    expect(ran.exit, ran.output).toBe(0);
    expect(ran.output).toContain("orders 2");
  }, 180_000);
});
