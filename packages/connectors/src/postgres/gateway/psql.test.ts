import { execFile, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import type { HoldVerdict } from "../../gateway.ts";
import { everythingCovered, testGateway, type TestGateway } from "./fixture/gateway-host.ts";

const run = promisify(execFile);

for (const version of testVersions) {
  describe.skipIf(!(await testServer(version)))(`psql through the gateway to postgresql ${version}`, () => {
    let cluster: TestCluster;
    let gateway: TestGateway;
    beforeAll(async () => {
      cluster = await startTestCluster({ version });
      const { user, password } = cluster.superuser;
      gateway = await testGateway({
        upstream: { host: cluster.host, port: cluster.port, user, secret: password, database: "postgres", tls: false },
        settings: { limits: { keepAliveMs: 20 } },
        judge: (statement) =>
          statement.text.startsWith("delete")
            ? {
                is: "held",
                changes: false,
                action: { type: "sql", name: "sql.delete", what: { statement: statement.text } },
                traceable: true,
                looksUp: true,
                uses: [],
              }
            : everythingCovered(statement),
      });
    });
    afterAll(async () => {
      await gateway.close();
      await cluster.stop();
    });

    const psql = async (...args: string[]): Promise<string> => {
      const uri = `postgresql://${gateway.key}:${gateway.secret}@127.0.0.1:${gateway.port}/postgres`;
      const { stdout } = await run("psql", ["-X", "-A", "-t", uri, ...args]);
      return stdout.trim();
    };

    test("a query", async () => {
      expect(await psql("-c", "select 1 + 1")).toBe("2");
    });

    test("the catalogue's commands", async () => {
      await psql("-c", "create table if not exists orders (id int primary key, status text)");
      expect(await psql("-c", "\\d orders")).toContain("status|text");
      for (const command of ["\\dt", "\\du", "\\dn", "\\df", "\\dp", "\\d+ orders"]) await psql("-c", command);
    });

    test("copy, both ways", async () => {
      await psql("-c", "drop table if exists c; create table c (a int, b text)");
      await psql("-c", `\\copy c from program 'seq 1 100000 | sed s/$/\\\\tx/'`);
      expect(await psql("-c", "select count(*), sum(a) from c")).toBe("100000|5000050000");
      expect((await psql("-c", "\\copy c to stdout")).split("\n")).toHaveLength(100_000);
    });

    const approved: HoldVerdict = {
      is: "run",
      started: () => Promise.resolve(),
      settle: () => Promise.resolve({}),
    };

    test("a statement that waits: the words are shown at once, the wait is no trouble, the answer comes", async () => {
      await psql("-c", "drop table if exists w; create table w as select generate_series(1, 3) as id");
      const uri = `postgresql://${gateway.key}:${gateway.secret}@127.0.0.1:${gateway.port}/postgres`;
      const child = spawn("psql", ["-X", "-A", "-t", uri], { env: { ...process.env, PGOPTIONS: "" } });
      let shown = "";
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (text: string) => (shown += text));
      const closed = new Promise((done) => child.once("close", done));
      child.stdin.write("begin;\ndelete from w where id = 1;\ncommit;\nselect count(*) from w;\n");
      const first = await gateway.nextWaiting();
      first.tell("waits for approval: K7QD-9MXT-2F4H");
      await expect.poll(() => shown).toContain("NOTICE:  waits for approval: K7QD-9MXT-2F4H");
      await sleep(100);
      expect(shown).not.toContain("DELETE");
      first.decide(approved);
      await expect.poll(() => shown).toContain("DELETE 1");
      await expect.poll(() => shown).toMatch(/COMMIT\n2\n/);
      child.stdin.write("delete from w where id = 3;\n");
      (await gateway.nextWaiting()).decide({ is: "refused", words: "refused by carol" });
      await expect.poll(() => shown).toContain("ERROR:  refused by carol\nHINT:  the session goes on");
      child.stdin.write("select 'still ' || count(*) from w;\ndelete from w where id = 2;\n");
      const withdrawn = await gateway.nextWaiting();
      expect(shown).toContain("still 2");
      // Ctrl-C; psql ends with it, since this is no terminal.
      child.kill("SIGINT");
      await closed;
      expect(withdrawn.signal.aborted).toBe(true);
      expect(shown).toContain("canceling statement due to user request");
      expect(shown).not.toMatch(/cardea_waiting|unexpected|lost sync/i);
    });

    test("the same for node's driver, by either protocol", async () => {
      await psql("-c", "drop table if exists w; create table w as select generate_series(1, 3) as id");
      const client = new Client({
        host: "127.0.0.1",
        port: gateway.port,
        user: gateway.key,
        password: gateway.secret,
        database: "postgres",
      });
      const notices: string[] = [];
      client.on("notice", ({ message = "" }) => notices.push(message));
      await client.connect();
      for (const [text, values] of [
        ["delete from w where id = 1", undefined],
        ["delete from w where id = $1", [2]],
      ] as const) {
        const next = gateway.nextWaiting();
        const answer = client.query(text, values === undefined ? undefined : [...values]);
        const waiting = await next;
        waiting.tell(`about ${text}`);
        await sleep(80);
        waiting.decide(approved);
        expect((await answer).rowCount).toBe(1);
        expect(notices.at(-1)).toBe(`about ${text}`);
      }
      expect((await client.query("select id from w")).rows).toEqual([{ id: 3 }]);
      await client.end();
    });
  });
}
