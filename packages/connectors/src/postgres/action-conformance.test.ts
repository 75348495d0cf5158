import { describe } from "vitest";
import { startTestCluster, testServer } from "@cardea/testing/cluster";
import { actionConformance } from "../conformance/action-conformance.ts";
import { FaultProxy } from "../conformance/fault-proxy.ts";
import { testResource } from "./fixture/resource.ts";

for (const [version, ownLogins] of [
  [15, 64],
  [18, 64],
  [18, 0],
] as const) {
  const available = await testServer(version);
  describe.skipIf(!available)(`postgresql ${version}${ownLogins === 0 ? ", by makers" : ""}`, () => {
    actionConformance("postgres", async () => {
      const cluster = await startTestCluster({ version });
      const proxy = await FaultProxy.start(cluster);
      const resource = await testResource(cluster, { port: proxy.port, ownLogins });
      const statement = "update orders set note = concat(note, 'x') where id = 1";
      return {
        proxy,
        asked: { type: "sql", what: { database: resource.databases[0] ?? "", statement } },
        open: () => resource.open(),
        order: () => resource.order("read"),
        use: async (login) => {
          const client = await resource.client(login);
          return {
            closed: new Promise((closed) => client.once("end", () => closed())),
            act: async () => {
              await client.query("select id from orders");
            },
            mayDo: async () => {
              await client.query("begin");
              const may = await client.query(statement).then(
                () => true,
                () => false,
              );
              await client.query("rollback");
              return may;
            },
            close: () => client.end(),
          };
        },
        done: async () => {
          const [row] = await resource.su("select length(concat(note)) as n from orders where id = 1");
          return Number(row?.["n"]);
        },
        logins: () => resource.logins(),
        others: async () => {
          const logins = await resource.logins();
          return (await resource.marked()).filter((name) => !logins.includes(name));
        },
        kill: async (localPort) => {
          await resource.su(`select pg_terminate_backend(pid) from pg_stat_activity where client_port = ${localPort}`);
        },
        close: async () => {
          await resource.close();
          await proxy.close();
          await cluster.stop();
        },
      };
    });
  });
}
