import { Client } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import { everythingCovered, testGateway, type TestGateway } from "./fixture/gateway-host.ts";
import * as raw from "./fixture/raw-client.ts";
import { RawClient } from "./fixture/raw-client.ts";
import type { Decision } from "./statement.ts";

const denied: Decision = { is: "denied", words: { code: "42501", message: "the rule says no", hint: "ask for it" } };

for (const version of testVersions) {
  describe.skipIf(!(await testServer(version)))(`relaying to postgresql ${version}`, () => {
    let cluster: TestCluster;
    let gateway: TestGateway;
    const opened: RawClient[] = [];
    beforeAll(async () => {
      cluster = await startTestCluster({ version });
      const { user, password } = cluster.superuser;
      gateway = await testGateway({
        upstream: { host: cluster.host, port: cluster.port, user, secret: password, database: "postgres", tls: false },
        judge: (statement) => {
          if (statement.text.includes("slowly"))
            return new Promise((done) => setTimeout(() => done(everythingCovered(statement)), 30));
          return statement.text.includes("forbidden") ? denied : everythingCovered(statement);
        },
      });
      const client = await open();
      client.send(raw.query("create table t (id int primary key, note text)"));
      expect(await client.answer()).toBe("C Z/I");
    });
    afterAll(async () => {
      await gateway.close();
      await cluster.stop();
    });
    afterEach(() => {
      for (const client of opened.splice(0)) client.close();
      expect(gateway.warnings).toEqual([]);
    });

    const open = async (options: Partial<raw.RawOptions> = {}): Promise<RawClient> => {
      const client = await RawClient.open({
        port: gateway.port,
        user: gateway.key,
        secret: gateway.secret,
        ...options,
      });
      opened.push(client);
      return client;
    };
    const events = () => gateway.sessions.at(-1)?.events ?? [];

    describe("a refused statement", () => {
      test("is answered with the rule's words, and the session goes on", async () => {
        const client = await open();
        client.send(raw.query("select forbidden"));
        const [error, ready] = await client.upTo("Z");
        expect(error && raw.fieldsOf(error)).toEqual({ S: "ERROR", C: "42501", M: "the rule says no" });
        expect(ready?.body.toString()).toBe("I");
        client.send(raw.query("select 1"));
        expect(await client.answer()).toBe("T D C Z/I");
      });

      test("fails an open transaction, as the server would", async () => {
        const client = await open();
        client.send(raw.query("begin"), raw.query("select forbidden"), raw.query("select 1"), raw.query("rollback"));
        expect(await client.answer()).toBe("C Z/T");
        expect(await client.answer()).toBe("E/42501 Z/E");
        expect(await client.answer()).toBe("E/25P02 Z/E");
        expect(await client.answer()).toBe("C Z/I");
      });

      test("in a failed transaction it is still refused by its rule", async () => {
        const client = await open();
        client.send(raw.query("begin"), raw.query("select 1/0"), raw.query("select forbidden"), raw.query("rollback"));
        for (const answer of ["C Z/T", "T E/22012 Z/E", "E/42501 Z/E", "C Z/I"])
          expect((await client.answer()).replace("T E/22012", "E/22012")).toBe(answer.replace("T E/22012", "E/22012"));
      });

      test("in a pipeline everything up to the Sync is void, and what ran before it is rolled back", async () => {
        const client = await open();
        client.send(
          raw.parse("insert into t values (100)"),
          raw.bind(),
          raw.execute(),
          raw.parse("select forbidden"),
          raw.bind(),
          raw.execute(),
          raw.parse("insert into t values (101)"),
          raw.bind(),
          raw.execute(),
          raw.sync,
          raw.query("select from t where id in (100, 101)"),
        );
        expect(await client.answer()).toBe("1 2 C E/42501 Z/I");
        expect(await client.answer()).toBe("T C Z/I");
      });

      test("does not run by a name that it was not given", async () => {
        const client = await open();
        client.send(raw.parse("select 1", "a"), raw.sync, raw.parse("select forbidden", "b"), raw.sync);
        expect(await client.answer()).toBe("1 Z/I");
        expect(await client.answer()).toBe("E/42501 Z/I");
        client.send(raw.bind([], "b"), raw.execute(), raw.sync, raw.bind([], "a"), raw.execute(), raw.sync);
        expect(await client.answer()).toBe("E/26000 Z/I");
        expect(await client.answer()).toBe("2 D C Z/I");
      });

      test("behind another error of the same pipeline it is not even looked at", async () => {
        const client = await open();
        client.send(
          raw.parse("select 1/0"),
          raw.bind(),
          raw.execute(),
          raw.parse("select forbidden"),
          raw.sync,
          raw.query("select 2"),
        );
        expect(await client.answer()).toBe("1 E/22012 Z/I");
        expect(await client.answer()).toBe("T D C Z/I");
      });
    });

    test("a name stands for what the resource has under it, not for what was tried last", async () => {
      const client = await open();
      client.send(raw.parse("select 'first'", "s"), raw.sync);
      await client.answer();
      // The second Parse fails: the name is taken. The Bind in the next group runs the first text.
      client.send(raw.parse("select 'second'", "s"), raw.sync, raw.bind([], "s"), raw.execute(), raw.sync);
      expect(await client.answer()).toBe("E/42P05 Z/I");
      const answer = await client.upTo("Z");
      expect(answer.find(({ type }) => type === "D")?.body.toString()).toContain("first");
      expect(events().filter(({ type }) => type === "action")).toMatchObject([{ text: "select 'first'" }]);
    });

    test("what SQL prepared cannot be bound by the protocol", async () => {
      const client = await open();
      client.send(raw.query("prepare p as select 1"));
      await client.answer();
      client.send(raw.bind([], "p"), raw.execute(), raw.sync);
      expect(await client.answer()).toBe("E/26000 Z/I");
    });

    test("portals give rows in portions", async () => {
      const client = await open();
      client.send(
        raw.parse("select generate_series(1, 5)"),
        raw.bind(),
        raw.describePortal(),
        raw.execute(2),
        raw.flush,
      );
      expect(raw.describe(await client.upTo("s"))).toBe("1 2 T D D s");
      client.send(raw.execute(2), raw.execute(0), raw.sync);
      expect(await client.answer()).toBe("D D s D C Z/I");
      const actions = events().filter(({ type }) => type === "action");
      expect(actions.map((event) => "action" in event && event.action)).toEqual([1, 2, 3]);
    });

    test("a judge that takes its time keeps the order", async () => {
      const client = await open();
      client.send(
        raw.query("select 1"),
        raw.query("select 'slowly'"),
        raw.query("select 3, 4"),
        raw.parse("select 'slowly', 2"),
        raw.bind(),
        raw.execute(),
        raw.sync,
      );
      for (const columns of [1, 1, 2]) {
        const rows = (await client.upTo("Z")).filter(({ type }) => type === "D");
        expect(rows.map(({ body }) => body.readInt16BE(0))).toEqual([columns]);
      }
      expect(await client.answer()).toBe("1 2 D C Z/I");
    });

    describe("COPY", () => {
      test("into a table by the extended protocol, where the Sync in between counts for nothing", async () => {
        const client = await open();
        client.send(raw.parse("copy t from stdin"), raw.bind(), raw.execute(), raw.sync);
        expect(raw.describe(await client.upTo("G"))).toBe("1 2 G");
        client.send(raw.copyData("200\tx\n"), raw.copyData("201\ty\n"), raw.copyDone, raw.sync, raw.query("select 1"));
        expect(await client.answer()).toBe("C Z/I");
        expect(await client.answer()).toBe("T D C Z/I");
        const inputs = events().filter(({ type }) => type === "input");
        expect(inputs.length).toBeGreaterThan(0);
      });

      test("sent without waiting for the server", async () => {
        const client = await open();
        client.send(
          raw.parse("copy t from stdin"),
          raw.bind(),
          raw.execute(),
          raw.copyData("210\tx\n"),
          raw.copyDone,
          raw.sync,
          raw.query("copy t from stdin"),
          raw.copyData("211\tx\n"),
          raw.copyDone,
          raw.query("select 1"),
        );
        expect(await client.answer()).toBe("1 2 G C Z/I");
        expect(await client.answer()).toBe("G C Z/I");
        expect(await client.answer()).toBe("T D C Z/I");
      });

      test("that fails leaves the rest of the data without effect", async () => {
        const client = await open();
        client.send(raw.parse("copy t from stdin"), raw.bind(), raw.execute(), raw.sync);
        await client.upTo("G");
        client.send(
          raw.copyData("no number\tx\n"),
          raw.copyData("220\tx\n"),
          raw.copyDone,
          raw.sync,
          raw.query("select 1"),
        );
        expect(await client.answer()).toBe("E/22P02 Z/I");
        expect(await client.answer()).toBe("T D C Z/I");
      });
    });

    test("a CancelRequest ends what runs, and only with the right key", async () => {
      const client = await open();
      const key = client.greeting.find(({ type }) => type === "K")?.body ?? Buffer.alloc(8);
      expect(key).toHaveLength(8);
      client.send(raw.query("select pg_sleep(30)"));
      const wrong = Buffer.from(key);
      wrong.writeInt32BE(wrong.readInt32BE(4) ^ 1, 4);
      const ask = (bytes: Buffer) =>
        RawClient.open({ port: gateway.port, user: "", secret: "", before: cancelRequest(bytes) }).catch(
          () => undefined,
        );
      await ask(wrong);
      await new Promise((done) => setTimeout(done, 150));
      expect(events().some(({ type }) => type === "outcome")).toBe(false);
      const asked = ask(key);
      expect(await client.answer()).toMatch(/^(T )?E\/57014 Z\/I$/);
      await asked;
    });

    test("protocol 3.2 has a longer key; a newer one and unknown options are negotiated", async () => {
      const newest = await open({ version: (3 << 16) | 2 });
      expect(newest.greeting.find(({ type }) => type === "K")?.body).toHaveLength(36);
      expect(newest.greeting.some(({ type }) => type === "v")).toBe(false);
      const newer = await open({ version: (3 << 16) | 9_999, options: { "_pq_.something": "1" } });
      const told = newer.greeting[0];
      expect(told?.type).toBe("v");
      expect(told?.body.readInt32BE(0)).toBe((3 << 16) | 2);
      expect(told?.body.toString("utf8", 8)).toBe("_pq_.something\0");
    });

    test("the function call message is refused", async () => {
      const client = await open();
      client.send(Buffer.from([0x46, 0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), raw.query("select 1"));
      expect(await client.answer()).toBe("E/0A000 Z/I");
      expect(await client.answer()).toBe("T D C Z/I");
    });

    test("a change of what statements were judged by closes the session", async () => {
      const client = await open();
      client.send(raw.query("select set_config('standard_conforming_strings', 'off', false)"));
      const messages = await client.upTo("E");
      expect(messages.at(-1) && raw.fieldsOf(messages.at(-1) as raw.Received)).toMatchObject({
        S: "FATAL",
        C: "57P01",
      });
    });

    test("the driver's usual features", async () => {
      const client = new Client({
        host: "127.0.0.1",
        port: gateway.port,
        user: gateway.key,
        password: gateway.secret,
        database: "postgres",
      });
      await client.connect();
      expect((await client.query("select $1::int + $2::int as sum", [1, 2])).rows).toEqual([{ sum: 3 }]);
      for (let i = 0; i < 3; i++)
        expect((await client.query({ name: "named", text: "select $1::text as t", values: [`v${i}`] })).rows).toEqual([
          { t: `v${i}` },
        ]);
      await expect(client.query("select forbidden")).rejects.toMatchObject({ code: "42501", hint: "ask for it" });
      await client.query("listen channel");
      const heard = new Promise((done) => client.once("notification", done));
      await client.query("notify channel, 'x'");
      expect(await heard).toMatchObject({ payload: "x" });
      expect((await client.query("select repeat('x', 3000000) as big")).rows[0]).toHaveProperty(
        "big.length",
        3_000_000,
      );
      expect((await client.query("select length($1) as n", ["y".repeat(5_000_000)])).rows).toEqual([{ n: 5_000_000 }]);
      await client.end();
      await expect.poll(() => events().at(-1)).toMatchObject({ type: "closed", why: "client" });
    });
  });
}

function cancelRequest(key: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + key.length, 0);
  head.writeInt32BE(80_877_102, 4);
  return Buffer.concat([head, key]);
}
