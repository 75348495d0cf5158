import { Client } from "pg";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import { testResource } from "../fixture/resource.ts";
import { traceSql } from "../spec/trace.ts";

const signal = (): AbortSignal => AbortSignal.timeout(30_000);

/** Kills one of the server's processes, which makes it forget whatever it had not written, and waits until it is back. */
async function crash(cluster: TestCluster): Promise<void> {
  // The second one goes only when the server has noticed.
  const clients = [new Client({ connectionString: cluster.url() }), new Client({ connectionString: cluster.url() })];
  const gone = clients.map((client) => {
    client.on("error", () => undefined);
    return new Promise((done) => client.once("end", done));
  });
  for (const client of clients) await client.connect();
  const backend = await clients[0]?.query<{ pid: number }>("select pg_backend_pid() as pid");
  process.kill(backend?.rows[0]?.pid ?? 0, "SIGKILL");
  await Promise.all(gone);
  for (;;) {
    const client = new Client({ connectionString: cluster.url() });
    client.on("error", () => undefined);
    const back = await client.connect().then(
      () => true,
      () => false,
    );
    await client.end().catch(() => undefined);
    if (back) return;
    await sleep(50);
  }
}

for (const version of testVersions) {
  const available = await testServer(version);

  describe.skipIf(!available)(`a server that crashes while an action runs, postgresql ${version}`, () => {
    test("the run's transaction is never taken for one that came after it", async () => {
      const cluster = await startTestCluster({ version, durable: true });
      const resource = await testResource(cluster);
      try {
        const provider = resource.open();
        const what = {
          database: resource.databases[0] ?? "",
          statement: "update orders set note = 'crashed' where id = 1",
        };
        const { action } = await provider.actions.preview({ type: "sql", what }, signal());
        const { lease, nativeName, notAfterMs } = resource.order();
        let noted: string | undefined;
        const run = provider.actions.run(
          { lease, nativeName, notAfterMs, action },
          async (trace) => {
            noted = trace;
            await crash(cluster);
          },
          signal(),
        );
        await expect(run).rejects.toMatchObject({ code: "resource_unreachable", effect: "none" });
        const next = resource.open();
        // Each of these commits under an id of its own.
        const client = new Client({ connectionString: cluster.url({ database: what.database }) });
        await client.connect();
        for (let round = 0; round < 20; round++) await client.query("create table t (id int); drop table t");
        const { rows } = await client.query("select note from orders where id = 1");
        await client.end();
        expect(rows).toEqual([{ note: null }]);
        await next.end(nativeName, signal());
        expect(await next.actions.resolve(noted ?? "", signal())).toBe("failed");
      } finally {
        await resource.close();
        await cluster.stop();
      }
    }, 60_000);

    test("nor is a transaction of a session", async () => {
      const cluster = await startTestCluster({ version, durable: true });
      const resource = await testResource(cluster);
      try {
        const traced = async (end: string): Promise<string> => {
          const client = new Client({ connectionString: cluster.url() });
          client.on("error", () => undefined);
          await client.connect();
          await client.query("begin");
          const { rows } = await client.query<{ trace: string }>(`select ${traceSql(version)} as trace`);
          await client.query("create table kept (id int)");
          if (end === "crash") await crash(cluster);
          else await client.query(`${end}; drop table if exists kept`);
          if (end !== "crash") await client.end();
          return rows[0]?.trace ?? "";
        };
        const { actions } = resource.open();
        expect(await actions.resolve(await traced("commit"), signal())).toBe("done");
        expect(await actions.resolve(await traced("rollback"), signal())).toBe("failed");
        const committed = await traced("commit");
        const lost = await traced("crash");
        const client = new Client({ connectionString: cluster.url() });
        await client.connect();
        for (let round = 0; round < 20; round++) await client.query("create table t (id int); drop table t");
        await client.end();
        const next = resource.open().actions;
        expect(await next.resolve(lost, signal())).toBe(version >= 17 ? "failed" : "unknown");
        expect(await next.resolve(committed, signal())).toBe(version >= 17 ? "done" : "unknown");
      } finally {
        await resource.close();
        await cluster.stop();
      }
    }, 60_000);
  });
}
