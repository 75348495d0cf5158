import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Client } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import type { Pattern } from "@cardea/core/documents/pattern";
import { loadParser } from "../spec/statement/parser.ts";
import { testGateway, type TestGateway } from "./fixture/gateway-host.ts";
import * as raw from "./fixture/raw-client.ts";
import { RawClient } from "./fixture/raw-client.ts";

const run = promisify(execFile);

for (const version of testVersions) {
  describe.skipIf(!(await testServer(version)))(`statements judged by their grammar at postgresql ${version}`, () => {
    let cluster: TestCluster;
    let gateway: TestGateway;
    let admin: Client;
    const opened: RawClient[] = [];
    const on = (name: string, ...tables: string[]): Pattern => ({
      name,
      facets: { databases: { matcher: "set", values: ["postgres"] }, tables: { matcher: "names", values: tables } },
    });
    beforeAll(async () => {
      await loadParser();
      cluster = await startTestCluster({ version });
      admin = new Client({ connectionString: cluster.url() });
      await admin.connect();
      await admin.query(
        `create role worker login password 'worker-secret'; create schema other;
         create table orders (id int primary key, status text); insert into orders values (1, 'new'), (2, 'paid');
         create table secrets (id int); insert into secrets values (42); create table other.orders (id int, status text);
         grant usage on schema other to worker; grant all on orders, secrets, other.orders to worker`,
      );
      gateway = await testGateway({
        upstream: {
          host: cluster.host,
          port: cluster.port,
          user: "worker",
          secret: "worker-secret",
          database: "postgres",
          tls: false,
        },
        judgement: {
          denied: [{ pattern: { name: "sql.truncate" }, message: "goes through a migration" }],
          hold: [],
          covered: [on("sql.select", "public.orders"), on("sql.insert", "public.orders")],
          askable: [on("sql.delete", "public.orders")],
        },
      });
    });
    afterAll(async () => {
      await admin.end();
      await gateway.close();
      await cluster.stop();
    });
    afterEach(() => {
      for (const client of opened.splice(0)) client.close();
      expect(gateway.warnings).toEqual([]);
    });

    const open = async (): Promise<RawClient> => {
      const client = await RawClient.open({ port: gateway.port, user: gateway.key, secret: gateway.secret });
      opened.push(client);
      return client;
    };
    const answers = async (client: RawClient, ...statements: string[]): Promise<string[]> => {
      client.send(...statements.map((text) => raw.query(text)));
      const all: string[] = [];
      while (all.length < statements.length) all.push(await client.answer());
      return all;
    };

    test("covered, denied and askable", async () => {
      const client = await open();
      expect(
        await answers(
          client,
          "select * from orders",
          "select * from secrets",
          "truncate orders",
          "select 1; select * from secrets",
          "",
        ),
      ).toEqual(["T D D C Z/I", "E/42501 Z/I", "E/42501 Z/I", "E/42501 Z/I", "I Z/I"]);
      client.send(raw.query("delete from orders where id = 1"));
      const waiting = await gateway.nextWaiting();
      expect(waiting.held).toMatchObject({
        action: {
          type: "sql",
          name: "sql.delete",
          binding: { statement: "delete from orders where id = 1", relations: [{ schema: "public", name: "orders" }] },
        },
      });
      waiting.decide({ is: "run", settle: () => Promise.resolve({}) });
      expect(await client.answer()).toBe("C Z/I");
    });

    test("names are those of the session at that moment: a changed search path is followed, and followed back", async () => {
      const client = await open();
      expect(
        await answers(
          client,
          "select id from orders",
          "set search_path = other",
          "select id from orders",
          "reset search_path",
          "select id from orders",
          "begin",
          "set local search_path = other",
          "select id from orders",
          "rollback",
          "select id from orders limit 1",
        ),
      ).toEqual([
        "T D C Z/I",
        version === 18 ? "C S Z/I" : "C Z/I",
        "E/42501 Z/I",
        version === 18 ? "C S Z/I" : "C Z/I",
        "T D C Z/I",
        "C Z/T",
        version === 18 ? "C S Z/T" : "C Z/T",
        version === 18 ? "E/42501 S Z/E" : "E/42501 Z/E",
        "C Z/I",
        "T D C Z/I",
      ]);
    });

    test("a prepared statement is judged again when what its names mean has changed", async () => {
      const client = await open();
      client.send(
        raw.parse("select id from orders", "p"),
        raw.sync,
        raw.query("set search_path = other"),
        raw.bind([], "p"),
        raw.execute(),
        raw.sync,
      );
      expect(await client.answer()).toBe("1 Z/I");
      await client.answer();
      expect(await client.answer()).toBe("E/42501 Z/I");
    });

    test("what PREPARE hides, EXECUTE shows", async () => {
      const client = await open();
      client.send(
        raw.query("prepare a as select id from orders"),
        raw.query("execute a"),
        raw.query("prepare b as select * from secrets"),
        raw.parse("select 7", "c"),
        raw.sync,
        raw.query("execute c"),
        raw.query("deallocate a"),
        raw.query("execute a"),
      );
      for (const answer of ["C Z/I", "T D C Z/I", "E/42501 Z/I", "1 Z/I", "T D C Z/I", "C Z/I", "E/26000 Z/I"])
        expect(await client.answer()).toBe(answer);
    });

    test("a prepared EXECUTE is judged by what its name stands for when it runs", async () => {
      const client = await open();
      client.send(
        raw.parse("select 1", "one"),
        raw.sync,
        raw.parse("execute one", "outer"),
        raw.sync,
        raw.bind([], "outer"),
        raw.execute(),
        raw.sync,
      );
      expect(await client.answer()).toBe("1 Z/I");
      expect(await client.answer()).toBe("1 Z/I");
      expect(await client.answer()).toBe("2 D C Z/I");
      // Preparing what would be held is harmless; running it by another name is not.
      client.send(
        raw.closeStatement("one"),
        raw.sync,
        raw.parse("delete from orders where id = 2", "one"),
        raw.sync,
        raw.bind([], "outer"),
        raw.execute(),
        raw.sync,
      );
      expect(await client.answer()).toBe("3 Z/I");
      expect(await client.answer()).toBe("1 Z/I");
      expect(await client.answer()).toBe("E/42501 Z/I");
    });

    test("new statements in the middle of a pipeline, and in a transaction begun in it", async () => {
      const client = await open();
      const once = (text: string) => [raw.parse(text), raw.bind(), raw.execute()];
      client.send(
        ...once("begin"),
        ...once("insert into orders values (100, 'x')"),
        ...once("select count(*) from orders where id = 100"),
        raw.sync,
      );
      expect(await client.answer()).toBe("1 2 C 1 2 C 1 2 D C Z/T");
      client.send(raw.query("rollback"), ...once("begin"), ...once("delete from orders where id = 2"), raw.sync);
      const waiting = await gateway.nextWaiting();
      expect(waiting.held.inTransaction).toBe(true);
      waiting.decide({ is: "run", settle: () => Promise.resolve({}) });
      expect(await client.answer()).toBe("C Z/I");
      expect(await client.answer()).toBe("1 2 C 1 2 C Z/T");
      expect(await answers(client, "rollback")).toEqual(["C Z/I"]);
    });

    test("in a failed transaction only its end is let through, and nothing of that is remembered", async () => {
      const client = await open();
      expect(
        await answers(
          client,
          "begin",
          "select 1/0",
          "select status from orders",
          "rollback",
          "select status from orders limit 1",
        ),
      ).toEqual(["C Z/T", expect.stringContaining("E/22012"), "E/25P02 Z/E", "C Z/I", "T D C Z/I"]);
    });

    test("what another session makes is found, however often it was missing before", async () => {
      const client = await open();
      expect(await answers(client, "select * from later", "select * from later")).toEqual([
        "E/42P01 Z/I",
        "E/42P01 Z/I",
      ]);
      await admin.query("create table later (id int); grant select on later to worker");
      expect(await answers(client, "select * from later")).toEqual(["E/42501 Z/I"]);
      await admin.query("drop table later");
    });

    test("what cannot be read is refused with its place", async () => {
      const client = await open();
      client.send(raw.query("selec 1"), raw.query(Buffer.from([0x73, 0xff]).toString("latin1")));
      expect(await client.answer()).toBe("E/42601 Z/I");
      expect(await client.answer()).toBe("E/42601 Z/I");
    });

    test("psql's commands about the catalogue", async () => {
      const uri = `postgresql://${gateway.key}:${gateway.secret}@127.0.0.1:${gateway.port}/postgres`;
      for (const command of [
        "\\d",
        "\\d orders",
        "\\dt",
        "\\dn",
        "\\df",
        "\\dp",
        "\\du",
        "\\dv",
        "\\di",
        "\\conninfo",
      ]) {
        const { stderr } = await run("psql", ["-X", uri, "-v", "ON_ERROR_STOP=1", "-c", command]);
        expect(stderr, command).not.toContain("ERROR");
      }
    });
  });
}
