import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import type { LeaseOrder, Provider } from "../../connector.ts";
import { testResource, type TestResource } from "../fixture/resource.ts";

const signal = (): AbortSignal => AbortSignal.timeout(60_000);

for (const version of testVersions) {
  const available = await testServer(version);

  describe.skipIf(!available)(`many at once on postgresql ${version}`, () => {
    let cluster: TestCluster;
    let resource: TestResource;
    let provider: Provider;

    beforeAll(async () => {
      cluster = await startTestCluster({ version, settings: { max_connections: "200" } });
      resource = await testResource(cluster);
      provider = resource.open();
    });
    afterAll(async () => {
      await resource.close();
      await cluster.stop();
    });

    const inParallel = async (
      workers: number,
      orders: readonly LeaseOrder[],
      work: (order: LeaseOrder) => Promise<unknown>,
    ): Promise<void> => {
      const queue = [...orders];
      await Promise.all(
        Array.from({ length: workers }, async () => {
          for (let order = queue.shift(); order !== undefined; order = queue.shift()) await work(order);
        }),
      );
    };

    test("8 workers make 320 of 320 keys with one bundle, which none of them finds made, and end them all", async () => {
      const orders = Array.from({ length: 320 }, () => resource.order("write"));
      await inParallel(8, orders, (order) => provider.create(order, signal()));
      expect(
        await resource.su(
          "select count(*)::int as n from pg_auth_members m join pg_roles r on r.oid = m.roleid where m.member::regrole::text like 'cardea%' and not m.admin_option",
        ),
      ).toEqual([{ n: 320 }]);
      const ends = await Promise.all(orders.map((order) => provider.end(order.nativeName, signal())));
      expect(ends.filter(({ misuse }) => misuse.length > 0)).toEqual([]);
      await provider.listOwn(signal());
      expect(await resource.marked()).toEqual([]);
    });

    test("keys made, ended and listed at the same time neither lose privileges nor leave anything", async () => {
      const over = new AbortController();
      const listing = (async () => {
        while (!over.signal.aborted) await provider.listOwn(signal());
      })();
      const orders = Array.from({ length: 60 }, (_, index) =>
        resource.order(["write", "everything", "read"][index % 3]),
      );
      await inParallel(6, orders, async (order) => {
        const client = await resource.client(await provider.create(order, signal()));
        await client.query("select id from orders");
        await provider.end(order.nativeName, signal());
      });
      over.abort();
      await listing;
      await provider.listOwn(signal());
      expect(await resource.marked()).toEqual([]);
    });

    test("the same login ended from eight sides", async () => {
      const order = resource.order("write");
      await provider.create(order, signal());
      await Promise.all(Array.from({ length: 8 }, () => provider.end(order.nativeName, signal())));
      expect((await provider.listOwn(signal())).ours).toEqual([]);
    });

    test("made and ended at the same time: either order, never half", async () => {
      for (let round = 0; round < 10; round++) {
        const order = resource.order("read");
        const [made] = await Promise.allSettled([
          provider.create(order, signal()),
          provider.end(order.nativeName, signal()),
        ]);
        expect(made.status).toBe("fulfilled");
        await provider.end(order.nativeName, signal());
        expect(await resource.logins()).toEqual([]);
      }
    });

    test("120 open sessions are closed by 120 endings at once", async () => {
      const orders = Array.from({ length: 120 }, () => resource.order("read"));
      const logins = await Promise.all(orders.map((order) => provider.create(order, signal())));
      const clients = await Promise.all(logins.map((login) => resource.client(login)));
      const closed = Promise.all(clients.map((client) => new Promise<void>((end) => client.once("end", () => end()))));
      const ends = await Promise.all(orders.map((order) => provider.end(order.nativeName, signal())));
      expect(ends.map(({ closedSessions }) => closedSessions)).toEqual(orders.map(() => 1));
      await closed;
      expect(await resource.logins()).toEqual([]);
    });
  });
}
