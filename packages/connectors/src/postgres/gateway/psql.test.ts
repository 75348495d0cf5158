import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import { testGateway, type TestGateway } from "./fixture/gateway-host.ts";

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
  });
}
