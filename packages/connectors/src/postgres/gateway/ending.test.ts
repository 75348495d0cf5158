import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import type { SessionEvent } from "../../gateway.ts";
import { testGateway, type TestGateway } from "./fixture/gateway-host.ts";
import * as raw from "./fixture/raw-client.ts";
import { RawClient } from "./fixture/raw-client.ts";

for (const version of testVersions) {
  describe.skipIf(!(await testServer(version)))(`ending sessions at postgresql ${version}`, () => {
    let cluster: TestCluster;
    let gateway: TestGateway;
    let admin: Client;
    let notAfterMs: number | undefined;
    let recorder: ((event: SessionEvent) => Promise<void> | undefined) | undefined;
    const opened: RawClient[] = [];
    beforeAll(async () => {
      cluster = await startTestCluster({ version });
      admin = new Client({ connectionString: cluster.url() });
      await admin.connect();
      await admin.query("create table t (id int, note text)");
      const { user, password } = cluster.superuser;
      gateway = await testGateway({
        upstream: {
          host: cluster.host,
          port: cluster.port,
          user,
          secret: password,
          database: "postgres",
          tls: false,
          settings: { application_name: "behind the gateway" },
        },
        notAfterMs: () => notAfterMs ?? Date.now() + 60_000,
        record: (event) => recorder?.(event),
      });
    });
    afterAll(async () => {
      await admin.end();
      await gateway.close();
      await cluster.stop();
    });
    afterEach(async () => {
      for (const client of opened.splice(0)) client.close();
      notAfterMs = undefined;
      recorder = undefined;
      await expect.poll(backends).toBe(0);
      expect(gateway.gateway.open).toEqual({ arriving: 0, sessions: 0 });
      for (const { events } of gateway.sessions) expect(events.filter(({ type }) => type === "closed")).toHaveLength(1);
      expect(gateway.warnings).toEqual([]);
    });

    const backends = async (): Promise<number> => {
      const { rows } = await admin.query<{ n: number }>(
        "select count(*)::int as n from pg_stat_activity where application_name = 'behind the gateway'",
      );
      return rows[0]?.n ?? -1;
    };
    const open = async (): Promise<RawClient> => {
      const client = await RawClient.open({ port: gateway.port, user: gateway.key, secret: gateway.secret });
      opened.push(client);
      return client;
    };
    const end = (): void => gateway.sessions.at(-1)?.end({ why: "revoked", words: "revoked by carol" });
    const farewell = async (client: RawClient): Promise<raw.Received[]> => {
      const all = await client.upTo("E");
      await expect(client.next()).rejects.toThrow("the connection ended");
      return all;
    };
    const last = (messages: raw.Received[]) => {
      const error = messages.at(-1);
      return error && raw.fieldsOf(error);
    };
    const revoked = { S: "FATAL", C: "57P01", M: "revoked by carol" };

    test("idle, in a transaction, in a query, in the middle of its rows", async () => {
      for (const statement of [
        "",
        "begin; select 1",
        "select pg_sleep(60)",
        "select repeat('x', 100) from generate_series(1, 1000)",
      ]) {
        const client = await open();
        if (statement !== "") client.send(raw.query(statement));
        await sleep(30);
        const started = Date.now();
        end();
        expect(last(await farewell(client)), statement).toEqual(revoked);
        expect(Date.now() - started).toBeLessThan(150);
        await expect.poll(backends).toBe(0);
      }
    });

    test("in COPY, either way", async () => {
      for (const statement of [
        "copy t from stdin",
        "copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout",
      ]) {
        const client = await open();
        client.send(raw.query(statement));
        await client.upTo(statement.includes("from stdin") ? "G" : "H");
        client.send(...Array.from({ length: 1_000 }, () => raw.copyData("1\tx\n")));
        await sleep(20);
        const started = Date.now();
        end();
        // Whoever is far behind in reading may find only the end: the connection is not kept open for the words.
        const ended = await farewell(client).catch(() => undefined);
        if (ended !== undefined || statement.includes("from stdin")) expect(last(ended ?? [])).toEqual(revoked);
        await expect.poll(backends).toBe(0);
        expect(Date.now() - started).toBeLessThan(1_500);
      }
      expect((await admin.query("select count(*)::int as n from t")).rows).toEqual([{ n: 0 }]);
    });

    test("while the client reads nothing", async () => {
      const client = await open();
      client.socket.pause();
      client.send(raw.query("select repeat('x', 100000) from generate_series(1, 1000)"));
      await sleep(100);
      const started = Date.now();
      end();
      await expect.poll(() => gateway.gateway.open.sessions).toBe(0);
      await expect.poll(backends, { timeout: 3_000 }).toBe(0);
      expect(Date.now() - started).toBeLessThan(3_000);
    });

    test("far behind in reading, and in the middle of a row too: whoever reads on hears why", async () => {
      for (const size of [1_000, 100_000]) {
        const client = await open();
        client.socket.pause();
        client.send(raw.query(`select repeat('x', ${size}) from generate_series(1, ${2_000_000_000 / size / 10})`));
        await sleep(150);
        end();
        await expect.poll(backends, { timeout: 3_000 }).toBe(0);
        await sleep(500);
        client.socket.resume();
        const messages = await client.upTo("E");
        expect(last(messages), `rows of ${size}`).toEqual(revoked);
        const rows = messages.filter(({ type }) => type === "D");
        expect(rows.every(({ body }) => body.length === size + 6)).toBe(true);
      }
    });

    test("at its deadline, whatever the host does; a key whose time is over at once", async () => {
      notAfterMs = Date.now() + 200;
      const client = await open();
      client.send(raw.query("select pg_sleep(60)"));
      const messages = await farewell(client);
      expect(Date.now()).toBeGreaterThanOrEqual(notAfterMs);
      expect(Date.now() - notAfterMs).toBeLessThan(150);
      expect(last(messages)).toMatchObject({ S: "FATAL", C: "57P01" });
      notAfterMs = Date.now() - 1;
      const late = await open();
      expect(last(await farewell(late))).toMatchObject({ C: "57P01" });
      expect(gateway.sessions.at(-1)?.events).toMatchObject([{ type: "closed", why: "deadline" }]);
    });

    test("by a client that says good-bye or vanishes, in the middle of a message too", async () => {
      const polite = await open();
      polite.send(raw.query("insert into t values (7)"), raw.terminate);
      await expect.poll(() => gateway.sessions.at(-1)?.events.at(-1)).toMatchObject({ type: "closed", why: "client" });
      expect((await admin.query("delete from t where id = 7")).rowCount).toBe(1);
      for (const message of [
        raw.query("select pg_sleep(60)"),
        raw.query("select 1").subarray(0, 7),
        Buffer.from([0x51]),
        Buffer.alloc(0),
      ]) {
        const client = await open();
        client.send(message);
        await sleep(20);
        client.close();
        await expect
          .poll(() => gateway.sessions.at(-1)?.events.at(-1))
          .toMatchObject({ type: "closed", why: "vanished" });
        await expect.poll(backends).toBe(0);
      }
    });

    test("by the resource: its words reach the client", async () => {
      const client = await open();
      client.send(raw.query("select 1"));
      await client.answer();
      await admin.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'behind the gateway'",
      );
      expect(last(await client.upTo("E"))).toMatchObject({ S: "FATAL", C: "57P01" });
      await expect
        .poll(() => gateway.sessions.at(-1)?.events.at(-1))
        .toMatchObject({ type: "closed", why: "resource" });
    });

    test("by a client that breaks the protocol", async () => {
      for (const garbage of [
        Buffer.from("GET / HTTP/1.1\r\n\r\n"),
        Buffer.from([0x51, 0, 0, 0, 3]),
        Buffer.from([0x70, 0, 0, 0, 5, 0]),
        Buffer.from([0x53, 0, 0, 0, 5, 0]),
        Buffer.from([0x51, 0, 0, 0, 6, 0, 0]),
        Buffer.from([0x42, 0, 0, 0, 5, 1]),
      ]) {
        const client = await open();
        client.send(garbage);
        expect(last(await client.upTo("E"))).toMatchObject({ S: "FATAL", C: "08P01" });
      }
    });

    test("a statement that is too large is refused, and the session goes on", async () => {
      const client = await open();
      client.send(raw.query(`select '${"x".repeat(2_000_000)}'`), raw.query("select 1"));
      expect(await client.answer()).toBe("E/54000 Z/I");
      expect(await client.answer()).toBe("T D C Z/I");
      client.send(
        raw.parse(`select '${"x".repeat(2_000_000)}'`),
        raw.bind(),
        raw.execute(),
        raw.sync,
        raw.query("select 1"),
      );
      expect(await client.answer()).toBe("E/54000 Z/I");
      expect(await client.answer()).toBe("T D C Z/I");
    });

    test("a recorder that wants a pause gets it; one that gives up ends the session", async () => {
      let go: (() => void) | undefined;
      recorder = ({ type }) => (type === "action" && go === undefined ? new Promise((done) => (go = done)) : undefined);
      const client = await open();
      client.send(raw.query("select 1"), raw.query("select 2"));
      expect(await client.answer()).toBe("T D C Z/I");
      await sleep(50);
      const actions = () => gateway.sessions.at(-1)?.events.filter(({ type }) => type === "action");
      expect(actions()).toHaveLength(1);
      go?.();
      expect(await client.answer()).toBe("T D C Z/I");
      gateway.sessions.at(-1)?.end({ why: "recorder", words: "the recording has no room" });
      expect(last(await farewell(client))).toMatchObject({ M: "the recording has no room" });
    });

    test("what was under way is recorded as unknown, what came back is recorded where that is wanted", async () => {
      const client = await open();
      client.send(raw.query("select 1"), raw.query("select pg_sleep(60)"));
      await client.answer();
      end();
      await farewell(client);
      const events = gateway.sessions.at(-1)?.events ?? [];
      expect(events.filter(({ type }) => type === "outcome")).toMatchObject([
        { action: 1, outcome: "done", rows: 1 },
        { action: 2, outcome: "unknown" },
      ]);
      const { user, password } = cluster.superuser;
      const recording = await testGateway({
        upstream: { host: cluster.host, port: cluster.port, user, secret: password, database: "postgres", tls: false },
        recordsOutput: true,
      });
      const recorded = await RawClient.open({ port: recording.port, user: recording.key, secret: recording.secret });
      recorded.send(raw.query("select repeat('x', 100000) from generate_series(1, 10)"));
      await recorded.upTo("Z");
      recorded.close();
      const output = recording.sessions[0]?.events.flatMap((event) => (event.type === "output" ? [event] : [])) ?? [];
      expect(output.reduce((bytes, event) => bytes + event.bytes.length, 0)).toBe(10 * (1 + 4 + 2 + 4 + 100_000));
      expect(new Set(output.map(({ action }) => action))).toEqual(new Set([1]));
      await recording.close();
    });

    test("many at once", async () => {
      const clients = await Promise.all(Array.from({ length: 50 }, () => open()));
      const started = Date.now();
      for (const session of gateway.sessions.slice(-50)) session.end({ why: "revoked", words: "revoked by carol" });
      for (const client of clients) expect(last(await farewell(client))).toEqual(revoked);
      expect(Date.now() - started).toBeLessThan(1_000);
    });

    test("memory stays flat while much more than that flows to a slow reader and back", async () => {
      const client = connect(gateway.port, "127.0.0.1");
      client.destroy();
      const reader = await open();
      global.gc?.();
      const before = process.memoryUsage().rss;
      reader.send(raw.query("copy (select repeat('x', 1000000) from generate_series(1, 200)) to stdout"));
      let peak = 0;
      for (let bytes = 0; bytes < 200_000_000;) {
        const { body } = await reader.next();
        bytes += body.length;
        peak = Math.max(peak, process.memoryUsage().rss);
      }
      await reader.upTo("Z");
      expect(peak - before).toBeLessThan(150_000_000);
    });
  });
}
