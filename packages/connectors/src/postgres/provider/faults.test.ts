import { createServer, type AddressInfo, type Server as NetServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import { OutsideError, type ErrorCode } from "@cardea/core/contract/errors";
import type { Provider } from "../../connector.ts";
import type { PostgresConfig } from "../spec/config.ts";
import { rolePatterns } from "../spec/roles.ts";
import { testResource, type TestResource } from "../fixture/resource.ts";
import type { Connection } from "./connection.ts";
import { Server } from "./server.ts";

const signal = (): AbortSignal => AbortSignal.timeout(30_000);

for (const version of testVersions) {
  const available = await testServer(version);

  describe.skipIf(!available)(`faults of postgresql ${version}`, () => {
    let cluster: TestCluster;
    let resource: TestResource;

    beforeAll(async () => {
      cluster = await startTestCluster({
        version,
        settings: { max_connections: "60", max_locks_per_transaction: "256" },
      });
      resource = await testResource(cluster);
    });
    afterAll(async () => {
      await resource.close();
      await cluster.stop();
    });

    const withConnect = (connect: Partial<TestResource["config"]["connect"]>): Provider =>
      resource.open((config) => ({ ...config, connect: { ...config.connect, ...connect } }));

    const calls: readonly [string, (provider: Provider, databases: readonly string[]) => Promise<unknown>][] = [
      ["inspect", (provider) => provider.inspect(signal())],
      [
        "create",
        (provider, databases) => {
          const patterns =
            resource.config.roles["read"] === undefined
              ? []
              : rolePatterns(resource.config.roles["read"], [...databases]);
          return provider.create(resource.order("read", { patterns }), signal());
        },
      ],
      ["end", (provider) => provider.end(resource.order("read").nativeName, signal())],
      ["listOwn", (provider) => provider.listOwn(signal())],
    ];

    test.each(calls)(
      "%s: a server that is not there, wrong credentials, a database that is not there",
      async (_name, call) => {
        const wrong: readonly [Partial<PostgresConfig["connect"]>, ErrorCode][] = [
          [{ port: 1 }, "resource_unreachable"],
          [{ host: "no-such-host.invalid", tls: { mode: "disable" } }, "resource_unreachable"],
          [{ password: { value: "wrong" } }, "resource_unauthorized"],
          [{ user: "nobody" }, "resource_unauthorized"],
          [{ databases: ["nowhere"] }, "resource_config_invalid"],
          [{ tls: { mode: "verify-full" } }, "resource_unreachable"],
        ];
        for (const [connect, code] of wrong) {
          const databases = connect.databases ?? resource.config.connect.databases;
          const error: unknown = await call(withConnect(connect), databases).catch((thrown: unknown) => thrown);
          expect(error).toBeInstanceOf(OutsideError);
          expect(error).toMatchObject({ code, effect: "none" });
          expect(String(error)).not.toContain("wrong");
          expect(JSON.stringify(error)).not.toContain("wrong");
        }
      },
    );

    test("a server that says nothing is given up after the time limit", async () => {
      const silent: NetServer = createServer();
      await new Promise<void>((listening) => silent.listen(0, "127.0.0.1", listening));
      const { port } = silent.address() as AddressInfo;
      const limits = { connectMs: 200, statementMs: 300, lockMs: 100, answerMs: 400 };
      const server = new Server(
        { ...resource.config, connect: { ...resource.config.connect, port } },
        resource.host,
        limits,
      );
      await expect(server.read("x", "select 1", signal())).rejects.toMatchObject({
        code: "resource_timeout",
        effect: "none",
      });
      await server.close();
      silent.close();
    });

    test("statements and locks that take too long fail without effect; a lost answer may have had one", async () => {
      const limits = { connectMs: 2_000, statementMs: 300, lockMs: 100, answerMs: 1_000 };
      const server = new Server(resource.config, resource.host, limits);
      const home = server.home;
      await expect(server.change(home, "select pg_sleep(5)", signal())).rejects.toMatchObject({
        code: "resource_timeout",
        effect: "none",
        sqlState: "57014",
      });
      await resource.su(`grant all on orders to ${resource.admin}; begin; lock table orders`);
      await expect(
        server.change(home, "begin; lock table public.orders in access share mode; commit", signal()),
      ).rejects.toMatchObject({ code: "resource_timeout", effect: "none", sqlState: "55P03" });
      await resource.su("rollback");
      const slow = new Server(resource.config, resource.host, { ...limits, statementMs: 5_000, answerMs: 300 });
      await expect(slow.change(home, "select pg_sleep(2)", signal())).rejects.toMatchObject({
        code: "resource_timeout",
        effect: "maybe",
      });
      await slow.settle(signal());
      expect(
        await resource.su("select count(*)::int as n from pg_stat_activity where query = 'select pg_sleep(2)'"),
      ).toEqual([{ n: 0 }]);
      await Promise.all([server.close(), slow.close()]);
    });

    test("an error inside a transaction leaves none behind on the connection", async () => {
      const server = new Server(resource.config, resource.host);
      await expect(server.change(server.home, "begin; select 1/0; commit", signal())).rejects.toMatchObject({
        code: "resource_fault",
        effect: "none",
      });
      await server.use(server.home, signal(), async (connection: Connection) => {
        const [rows] = await connection.run("select now() = statement_timestamp() as fresh", "read", signal());
        expect(rows).toEqual([{ fresh: true }]);
      });
      await server.close();
    });

    test("connections that died while idle are replaced", async () => {
      const provider = resource.open();
      await provider.listOwn(signal());
      await resource.su(`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${resource.admin}'`);
      await expect
        .poll(() =>
          provider.listOwn(signal()).then(
            () => "ok",
            () => "failed",
          ),
        )
        .toBe("ok");
    });

    test("no more connections than its share", async () => {
      const provider = resource.open();
      const orders = Array.from({ length: 40 }, () => resource.order("read"));
      const most = { n: 0 };
      const over = new AbortController();
      const watch = (async () => {
        while (!over.signal.aborted) {
          const [row] = await resource.su(
            `select count(*)::int as n from pg_stat_activity where usename = '${resource.admin}'`,
          );
          most.n = Math.max(most.n, Number(row?.["n"]));
        }
      })();
      await Promise.all(orders.map((order) => provider.create(order, signal())));
      await Promise.all(orders.map((order) => provider.end(order.nativeName, signal())));
      over.abort();
      await watch;
      // Those that other tests' providers keep open are among them.
      expect(most.n).toBeLessThanOrEqual(20);
      await provider.close();
    });

    test("an abort in the middle of waiting for a connection is heard", async () => {
      const server = new Server(resource.config, resource.host);
      const busy = Array.from({ length: 8 }, () => server.read(server.home, "select pg_sleep(0.5)", signal()));
      const given = new AbortController();
      const waiting = server.read(server.home, "select 1", given.signal);
      given.abort();
      await expect(waiting).rejects.toMatchObject({ code: "cancelled", effect: "none" });
      await Promise.all(busy);
      await server.read(server.home, "select 1", signal());
      await server.close();
    });

    test("settings that others made the default do not reach our sessions", async () => {
      await resource.su(`alter role ${resource.admin} set search_path = evil, pg_catalog; alter role ${resource.admin} set default_transaction_read_only = on;
        alter role ${resource.admin} set standard_conforming_strings = off; alter role ${resource.admin} set default_transaction_isolation = 'serializable'`);
      const provider = resource.open();
      const order = resource.order("read");
      await provider.create(order, signal());
      await provider.end(order.nativeName, signal());
      const server = new Server(resource.config, resource.host);
      const [rows] = await server.read(
        server.home,
        "select current_setting('search_path') as path, current_setting('standard_conforming_strings') as strings, current_setting('transaction_isolation') as isolation",
        signal(),
      );
      expect(rows).toEqual([{ path: "pg_catalog", strings: "on", isolation: "read committed" }]);
      await server.close();
      await resource.su(`alter role ${resource.admin} reset all`);
    });

    test("an administrator that lacks everything is told each thing, with the SQL for it", async () => {
      await resource.su("create role weak login noinherit password 'weak'");
      const weak = withConnect({ user: "weak", password: { value: "weak" } });
      const { missing } = await weak.inspect(signal());
      const fixes = missing.map(({ fix }) => fix);
      expect(fixes).toEqual(
        expect.arrayContaining([
          'alter role "weak" createrole;',
          version === 15
            ? 'grant pg_signal_backend to "weak";'
            : 'grant pg_signal_backend to "weak" with inherit true;',
          expect.stringMatching(/^grant "reader_.*" to "weak" with admin/),
          'grant select on table "public"."orders" to "weak" with grant option;',
          'grant update ("note", "status") on table "public"."orders" to "weak" with grant option;',
        ]),
      );
      for (let round = 0; round < 3; round++)
        for (const { fix } of (await weak.inspect(signal())).missing) await resource.su(fix ?? "");
      expect((await weak.inspect(signal())).missing).toEqual([]);
      const order = resource.order("everything");
      const client = await resource.client(await weak.create(order, signal()));
      await client.query("insert into payments (cents) values (1)");
      expect(await weak.end(order.nativeName, signal())).toEqual({ closedSessions: 1, misuse: [] });
      await weak.listOwn(signal());
      expect(await resource.logins()).toEqual([]);
    });

    // On 15 every CREATEROLE may give every role.
    if (version === 18)
      test("roles that another administrator made are named, with what hands them over", async () => {
        const provider = resource.open();
        const order = resource.order("read");
        await provider.create(order, signal());
        await resource.su(`create role heir login createrole password 'heir'; grant pg_signal_backend to heir; grant ${resource.reader} to heir with admin option;
        grant select, insert, update, delete, truncate on orders, payments to heir with grant option; grant usage on sequence payments_id_seq to heir with grant option`);
        const heir = withConnect({ user: "heir", password: { value: "heir" } });
        await expect(heir.end(order.nativeName, signal())).rejects.toMatchObject({
          code: "resource_privilege_missing",
          effect: "none",
        });
        const { missing } = await heir.inspect(signal());
        expect(missing).toHaveLength(1);
        await resource.su(missing[0]?.fix ?? "");
        await heir.end(order.nativeName, signal());
        expect(await resource.logins()).toEqual([]);
      });

    test("2,000 tables: inspected, made and refreshed in seconds, keys still quick", async () => {
      const big = await testResource(cluster);
      await big.su(
        `do $$ begin for i in 1..2000 loop execute format('create table t%s (id serial, a text, b text)', i); commit; end loop; end $$`,
      );
      await big.su(`grant select, insert, update, delete, truncate on all tables in schema public to ${big.admin} with grant option;
        grant usage on all sequences in schema public to ${big.admin} with grant option; analyze`);
      const provider = big.open();
      const started = performance.now();
      const { missing } = await provider.inspect(signal());
      const inspectMs = performance.now() - started;
      expect(missing).toEqual([]);
      const first = big.order("everything");
      const making = performance.now();
      const client = await big.client(await provider.create(first, signal()));
      const makeMs = performance.now() - making;
      await client.query("insert into t1999 (a) values ('x')");
      const times: number[] = [];
      for (let i = 0; i < 15; i++) {
        const order = big.order("everything");
        const begun = performance.now();
        await provider.create(order, signal());
        times.push(performance.now() - begun);
        await provider.end(order.nativeName, signal());
      }
      const createMs = times.sort((a, b) => a - b)[7] ?? 0;
      await provider.end(first.nativeName, signal());
      const removing = performance.now();
      await provider.listOwn(signal());
      const removeMs = performance.now() - removing;
      expect(await big.marked()).toEqual([]);
      const figures = { inspectMs, makeMs, createMs, removeMs };
      if (process.env["CARDEA_FIGURES"] !== undefined) process.stderr.write(`${version} ${JSON.stringify(figures)}\n`);
      // Bounds against a wrong order of growth, not targets.
      expect(inspectMs).toBeLessThan(5_000);
      expect(makeMs).toBeLessThan(10_000);
      expect(createMs).toBeLessThan(200);
      await big.close();
    }, 60_000);
  });
}
