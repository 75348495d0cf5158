import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Client } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import type { Pattern } from "@cardea/core/documents/pattern";
import { loadParser } from "../spec/statement/parser.ts";
import { fromClient, message } from "./messages.ts";
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
          covered: [on("sql.select", "public.orders"), on("sql.insert", "public.orders", "public.moving")],
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
          what: { database: "postgres", statement: "delete from orders where id = 1" },
          binding: { kind: "delete", relations: [{ schema: "public", name: "orders" }] },
        },
      });
      waiting.decide({ is: "run", started: () => Promise.resolve(), settle: () => Promise.resolve({}) });
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

    test("a transaction's end moves names back, in the middle of a pipeline and of a text too", async () => {
      const client = await open();
      const steps = (...texts: string[]): Buffer[] =>
        texts.flatMap((text) => [raw.parse(text), raw.bind(), raw.execute()]);
      // What is judged under `other` is not covered, what is judged under `public` is.
      client.send(
        raw.query("begin"),
        raw.query("set local search_path = other"),
        raw.query("set local search_path = public"),
      );
      for (let left = 3; left > 0; left--) await client.answer();
      client.send(raw.query("rollback; select id from orders"));
      expect(await client.answer()).toMatch(/^E\/0A000 (S )*Z\/E$/);
      client.send(raw.query("rollback"));
      await client.answer();
      client.send(raw.query("set search_path = other"), raw.query("begin"), raw.query("set search_path = public"));
      for (let left = 3; left > 0; left--) await client.answer();
      client.send(...steps("select id from orders", "rollback", "select id from orders"), raw.sync);
      expect(await client.answer()).toMatch(/^1 2 (D )+C 1 2 C E\/42501 (S )*Z\/I$/);
      client.send(
        ...steps("begin", "set local search_path = public", "select id from orders", "commit", "select id from orders"),
        raw.sync,
      );
      expect(await client.answer()).toMatch(/^1 2 C 1 2 C 1 2 (D )+C 1 2 C E\/42501 (S )*Z\/I$/);
    });

    test("code of the database's own that moves the path is followed", async () => {
      await admin.query(
        `create function mover() returns trigger language plpgsql as $$ begin perform set_config('search_path', 'other', false); return new; end $$;
         create table moving (id int); create trigger moves before insert on moving for each row execute function mover();
         grant insert on moving to worker`,
      );
      try {
        const client = await open();
        const text = "select id from orders";
        expect(await answers(client, text)).toEqual([expect.stringMatching(/C Z\/I$/)]);
        client.send(raw.query("insert into moving values (1)"), raw.query(text));
        expect(await client.answer()).toMatch(/^C (S )*Z\/I$/);
        expect(await client.answer()).toMatch(/^E\/42501 (S )*Z\/I$/);
        await answers(client, "reset search_path");
        client.send(raw.parse("insert into moving values (1)"), raw.bind(), raw.execute());
        client.send(raw.parse(text), raw.bind(), raw.execute(), raw.sync);
        expect(await client.answer()).toMatch(/^1 2 C E\/42501 (S )*Z\/I$/);
        client.send(raw.query("reset search_path"), raw.query(`insert into moving values (1); ${text}`));
        await client.answer();
        expect(await client.answer()).toMatch(/^E\/0A000 (S )*Z\/I$/);
      } finally {
        await admin.query("drop table moving; drop function mover");
      }
    });

    test("parameters' types are judged: a domain's checks run when a value is bound", async () => {
      await admin.query(
        `create table marks (id int); create function mark(int) returns boolean language plpgsql security definer as $$ begin insert into marks values ($1); return true; end $$;
         create domain marked as int check (mark(value))`,
      );
      const { rows } = await admin.query<{ oid: string }>("select 'marked'::regtype::oid as oid");
      const parse = message(fromClient.parse, "", "select $1", Uint8Array.of(0, 1), Number(rows[0]?.oid));
      const empty = message(fromClient.parse, "", "", Uint8Array.of(0, 1), Number(rows[0]?.oid));
      const client = await open();
      client.send(parse, raw.bind(["1"]), raw.execute(), raw.sync);
      expect(await client.answer()).toBe("E/42501 Z/I");
      client.send(empty, raw.bind(["1"]), raw.execute(), raw.sync);
      expect(await client.answer()).toBe("E/0A000 Z/I");
      client.send(raw.parse("select $1"), raw.bind(["1"]), raw.execute(), raw.sync);
      expect(await client.answer()).toBe("1 2 D C Z/I");
      expect((await admin.query("select * from marks")).rows).toEqual([]);
    });

    test("a malformed message after one that had to be looked up ends the session and nothing else", async () => {
      const client = await open();
      client.send(
        raw.parse("select id from orders where id = 77"),
        message(fromClient.parse, "", Buffer.from("select 1\0; x\0"), Uint8Array.of(0, 0)),
        raw.sync,
      );
      const said = await client.upTo("E");
      expect(raw.fieldsOf(said.at(-1) as raw.Received)).toMatchObject({ S: "FATAL", C: "08P01" });
      expect(await answers(await open(), "select 1")).toEqual(["T D C Z/I"]);
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
      waiting.decide({ is: "run", started: () => Promise.resolve(), settle: () => Promise.resolve({}) });
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
