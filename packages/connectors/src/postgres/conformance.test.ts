import { describe } from "vitest";
import { startTestCluster, testServer } from "@cardea/testing/cluster";
import { conformance } from "../conformance/conformance.ts";
import { FaultProxy } from "../conformance/fault-proxy.ts";
import { testResource } from "./fixture/resource.ts";

// Each version with one of the two ways to give privileges, and with makers from the first login on; what else differs between them is
// in the provider's own tests.
for (const [version, kind, ownLogins] of [
  [15, "member role", 64],
  [18, "bundle", 64],
  [18, "bundle", 0],
] as const) {
  const available = await testServer(version);
  describe.skipIf(!available)(`postgresql ${version}${ownLogins === 0 ? ", by makers" : ""}`, () => {
    conformance(`postgres (${kind})`, async () => {
      const cluster = await startTestCluster({ version });
      const proxy = await FaultProxy.start(cluster);
      const resource = await testResource(cluster, { port: proxy.port, ownLogins });
      return {
        proxy,
        open: () => resource.open(),
        order: () => resource.order(kind === "bundle" ? "write" : "read"),
        use: async (login) => {
          const client = await resource.client(login);
          return {
            closed: new Promise((closed) => client.once("end", () => closed())),
            act: async () => {
              await client.query("select id from orders");
            },
            close: () => client.end(),
          };
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
