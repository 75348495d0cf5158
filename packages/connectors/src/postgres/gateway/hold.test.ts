import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import type { HeldOutcome, HoldVerdict } from "../../gateway.ts";
import { everythingCovered, testGateway, type TestGateway } from "./fixture/gateway-host.ts";
import * as raw from "./fixture/raw-client.ts";
import { RawClient } from "./fixture/raw-client.ts";

for (const version of testVersions) {
  describe.skipIf(!(await testServer(version)))(`a held statement at postgresql ${version}`, () => {
    let cluster: TestCluster;
    let gateway: TestGateway;
    let admin: Client;
    let meaning = "one";
    const opened: RawClient[] = [];
    const outcomes: HeldOutcome[] = [];
    const traces: (string | undefined)[] = [];
    beforeAll(async () => {
      cluster = await startTestCluster({ version });
      admin = new Client({ connectionString: cluster.url() });
      await admin.connect();
      await admin.query(
        "create role worker login password 'worker-secret'; create role keeper; create table t (id int); insert into t values (1), (2); create table owned (id int); alter table owned owner to keeper; grant keeper to worker",
      );
      await admin.query(
        "create table once (id int unique deferrable initially deferred); insert into once values (1); grant select on t, once to worker",
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
        settings: { limits: { keepAliveMs: 50 } },
        judge: (statement) =>
          /^(delete|alter|insert|copy|vacuum|select held)/.test(statement.text)
            ? {
                is: "held",
                changes: false,
                action: { type: "sql", name: "sql.delete", what: { statement: statement.text }, binding: { meaning } },
                traceable: !statement.text.startsWith("vacuum"),
                looksUp: true,
                uses: [{ name: "sql.delete" }],
              }
            : everythingCovered(statement),
      });
    });
    afterAll(async () => {
      await admin.end();
      await gateway.close();
      await cluster.stop();
    });
    afterEach(async () => {
      for (const client of opened.splice(0)) client.close();
      gateway.waiting.length = 0;
      outcomes.length = 0;
      traces.length = 0;
      meaning = "one";
      await admin.query(
        "revoke delete, insert on t from worker; revoke insert on once from worker; truncate t; insert into t values (1), (2)",
      );
      expect(gateway.warnings).toEqual([]);
    });

    const open = async (): Promise<RawClient> => {
      const client = await RawClient.open({ port: gateway.port, user: gateway.key, secret: gateway.secret });
      opened.push(client);
      return client;
    };
    /** The privilege exists while it runs: given before, taken back by `settle`. */
    const approve = async (as?: string): Promise<HoldVerdict> => {
      await admin.query("grant delete, insert on t to worker; grant insert on once to worker");
      return {
        is: "run",
        ...(as === undefined ? {} : { as }),
        started: (trace) => {
          traces.push(trace);
          return Promise.resolve();
        },
        settle: async (outcome) => {
          outcomes.push(outcome);
          await admin.query("revoke delete, insert on t from worker; revoke insert on once from worker");
          return {};
        },
      };
    };
    const withoutKeepAlive = (answer: string): string => answer.replaceAll("S ", "");
    const events = () => gateway.sessions.at(-1)?.events ?? [];

    test("waits with a notice and keep-alives, runs once approved, with the privilege and no longer", async () => {
      const client = await open();
      const next = gateway.nextWaiting();
      client.send(raw.query("delete from t where id = 1"), raw.query("delete from t where id = 2"));
      const waiting = await next;
      expect(waiting.held).toMatchObject({
        action: { what: { statement: "delete from t where id = 1" } },
        inTransaction: false,
      });
      waiting.tell("waits for approval: K7QD-9MXT-2F4H");
      const notice = await client.next();
      expect(notice.type).toBe("N");
      expect(raw.fieldsOf(notice).M).toContain("K7QD-9MXT-2F4H");
      await sleep(120);
      const then = gateway.nextWaiting();
      waiting.decide(await approve());
      const answer = await client.answer();
      expect(answer).toMatch(/^(S )+C Z\/I$/);
      await expect.poll(() => outcomes).toEqual([{ outcome: "done", rows: 1 }]);
      // The second is another action: asked anew, and not run by the first one's privilege.
      (await then).decide({ is: "refused", words: "not that one" });
      expect(withoutKeepAlive(await client.answer())).toBe("E/42501 Z/I");
      client.send(raw.query("select id from t"));
      expect(withoutKeepAlive(await client.answer())).toBe("T D C Z/I");
      expect(events().map(({ type }) => type)).toEqual([
        "held",
        "settled",
        "action",
        "outcome",
        "held",
        "settled",
        "refused",
        "action",
        "outcome",
      ]);
    });

    test("inside a transaction: refused, it fails the transaction; approved, it is part of it", async () => {
      const client = await open();
      client.send(raw.query("begin"), raw.query("delete from t"));
      (await gateway.nextWaiting()).decide({ is: "refused", words: "no" });
      expect(await client.answer()).toBe("C Z/T");
      expect(withoutKeepAlive(await client.answer())).toBe("E/42501 Z/E");
      client.send(raw.query("rollback"), raw.query("begin"), raw.query("delete from t"), raw.query("select 1"));
      const waiting = await gateway.nextWaiting();
      expect(waiting.held.inTransaction).toBe(true);
      waiting.decide(await approve());
      for (const answer of ["C Z/I", "C Z/T", "C Z/T", "T D C Z/T"])
        expect(withoutKeepAlive(await client.answer())).toBe(answer);
      expect(outcomes).toEqual([{ outcome: "done", rows: 2 }]);
      expect(traces).toEqual([expect.stringMatching(/^[0-9]+@/)]);
      client.send(raw.query("rollback"), raw.query("select id from t"));
      expect(await client.answer()).toBe("C Z/I");
      expect(await client.answer()).toBe("T D D C Z/I");
    });

    test("in a transaction that has failed nobody is asked", async () => {
      const client = await open();
      client.send(raw.query("begin"), raw.query("select 1/0"), raw.query("delete from t"), raw.query("rollback"));
      expect(await client.answer()).toBe("C Z/T");
      await client.answer();
      expect(await client.answer()).toBe("E/25P02 Z/E");
      expect(gateway.waiting).toEqual([]);
    });

    test("that fails tells so, and the privilege is taken back", async () => {
      const client = await open();
      client.send(raw.query("delete from t where 1 / (id - 1) > 0"));
      (await gateway.nextWaiting()).decide(await approve());
      expect(withoutKeepAlive(await client.answer())).toBe("E/22012 Z/I");
      await expect.poll(() => outcomes).toMatchObject([{ outcome: "failed", error: { code: "22012" } }]);
    });

    test("by the extended protocol: the parameters are asked about, the whole group waits", async () => {
      const client = await open();
      client.send(
        raw.parse("delete from t where id = $1"),
        raw.bind(["2"]),
        raw.describePortal(),
        raw.execute(),
        raw.sync,
        raw.query("select id from t"),
      );
      const waiting = await gateway.nextWaiting();
      expect(waiting.held.action.what).toMatchObject({ params: ["2"] });
      const [seen] = (
        await admin.query(
          "select count(*)::int as n from pg_locks where relation = 't'::regclass and pid <> pg_backend_pid()",
        )
      ).rows;
      expect(seen).toEqual({ n: 0 });
      waiting.decide(await approve());
      expect(withoutKeepAlive(await client.answer())).toBe("1 2 n C Z/I");
      expect(await client.answer()).toBe("T D C Z/I");
      await expect.poll(() => outcomes).toEqual([{ outcome: "done", rows: 1 }]);
    });

    test("prepared once, bound twice: asked twice; its group is its own", async () => {
      const client = await open();
      client.send(raw.parse("delete from t where id = $1", "d"), raw.sync);
      expect(await client.answer()).toBe("1 Z/I");
      expect(gateway.waiting).toEqual([]);
      for (const id of ["1", "2"]) {
        client.send(raw.bind([id], "d"), raw.execute(), raw.sync);
        (await gateway.nextWaiting()).decide(await approve());
        expect(withoutKeepAlive(await client.answer())).toBe("2 C Z/I");
      }
      await expect.poll(() => outcomes).toHaveLength(2);
      client.send(raw.bind(["1"], "d"), raw.execute(), raw.parse("select 1"), raw.bind(), raw.execute(), raw.sync);
      expect(await client.answer()).toBe("E/0A000 Z/I");
      client.send(raw.bind(["1"], "d"), raw.execute(1), raw.sync);
      expect(await client.answer()).toBe("E/0A000 Z/I");
      client.send(raw.parse("select 1"), raw.bind(), raw.execute(), raw.bind(["1"], "d"), raw.execute(), raw.sync);
      expect(await client.answer()).toBe("1 2 D C E/0A000 Z/I");
      expect(gateway.waiting).toHaveLength(2);
    });

    test("sent byte by byte, it waits and runs all the same", async () => {
      const client = await open();
      const bytes = Buffer.concat([raw.parse("delete from t where id = $1"), raw.bind(["2"]), raw.execute(), raw.sync]);
      for (const byte of bytes) {
        client.send(Uint8Array.of(byte));
        await sleep(1);
      }
      await expect.poll(() => gateway.waiting).toHaveLength(1);
      gateway.waiting[0]?.decide(await approve());
      expect(withoutKeepAlive(await client.answer())).toBe("1 2 C Z/I");
    });

    test("Ctrl-C withdraws; the session goes on", async () => {
      const client = await open();
      const key = client.greeting.find(({ type }) => type === "K")?.body ?? Buffer.alloc(8);
      client.send(raw.query("delete from t"));
      const waiting = await gateway.nextWaiting();
      const head = Buffer.alloc(8);
      head.writeInt32BE(16, 0);
      head.writeInt32BE(80_877_102, 4);
      await RawClient.open({ port: gateway.port, user: "", secret: "", before: Buffer.concat([head, key]) }).catch(
        () => undefined,
      );
      expect(withoutKeepAlive(await client.answer())).toBe("E/57014 Z/I");
      expect(waiting.signal.aborted).toBe(true);
      client.send(raw.query("select 1"));
      expect(await client.answer()).toBe("T D C Z/I");
    });

    test("a client that vanishes withdraws, and nothing runs", async () => {
      const client = await open();
      client.send(raw.query("delete from t"));
      const waiting = await gateway.nextWaiting();
      client.close();
      await expect.poll(() => waiting.signal.aborted).toBe(true);
      await expect.poll(() => events().at(-1)).toMatchObject({ type: "closed", why: "vanished" });
      // Approved a moment too late.
      waiting.decide(await approve());
      await sleep(50);
      expect((await admin.query("select count(*)::int as n from t")).rows).toEqual([{ n: 2 }]);
    });

    test("revoked while it waits, the client hears why", async () => {
      const client = await open();
      client.send(raw.query("delete from t"));
      const waiting = await gateway.nextWaiting();
      gateway.sessions.at(-1)?.end({ why: "revoked", words: "revoked by carol" });
      const messages = await client.upTo("E");
      expect(messages.at(-1) && raw.fieldsOf(messages.at(-1) as raw.Received)).toEqual({
        S: "FATAL",
        C: "57P01",
        M: "revoked by carol",
      });
      expect(waiting.signal.aborted).toBe(true);
    });

    test("is not run when its names have come to mean something else", async () => {
      const client = await open();
      client.send(raw.query("delete from t"));
      const waiting = await gateway.nextWaiting();
      meaning = "two";
      waiting.decide(await approve());
      expect(withoutKeepAlive(await client.answer())).toBe("E/40001 Z/I");
      expect(outcomes).toMatchObject([{ outcome: "failed" }]);
      expect((await admin.query("select count(*)::int as n from t")).rows).toEqual([{ n: 2 }]);
    });

    test("runs under the role that it needs, and that is reset", async () => {
      const client = await open();
      client.send(raw.query("alter table owned add column a int"));
      (await gateway.nextWaiting()).decide(await approve("keeper"));
      expect(withoutKeepAlive(await client.answer())).toBe("C Z/I");
      client.send(raw.query("begin"), raw.query("alter table owned add column b int"));
      (await gateway.nextWaiting()).decide(await approve("keeper"));
      expect(withoutKeepAlive(await client.answer())).toBe("C Z/T");
      expect(withoutKeepAlive(await client.answer())).toBe("C Z/T");
      client.send(raw.query("select current_user"));
      const row = (await client.upTo("Z")).find(({ type }) => type === "D");
      expect(row?.body.toString()).toContain("worker");
    });

    const fateOf = async (trace: string | undefined): Promise<unknown> =>
      (await admin.query("select pg_xact_status($1::xid8) as fate", [trace?.split("@")[0]])).rows[0];
    const stateOf = async (): Promise<unknown> =>
      (
        await admin.query(
          "select state from pg_stat_activity where usename = 'worker' order by backend_start desc limit 1",
        )
      ).rows[0];
    const bySimple = (text: string): Buffer[] => [raw.query(text)];
    const bySync = (text: string): Buffer[] => [raw.parse(text), raw.bind(), raw.execute(), raw.sync];
    const byFlush = (text: string): Buffer[] => [raw.parse(text), raw.bind(), raw.execute(), raw.flush];

    describe.each([
      ["a simple query", bySimple, "C Z/I", "E/22012 Z/I", "C E/23505 Z/I"],
      ["extended messages and a Sync", bySync, "1 2 C Z/I", "1 2 E/22012 Z/I", "1 2 C E/23505 Z/I"],
      ["extended messages and a Flush", byFlush, "1 2 C Z/I", "1 2 E/22012 Z/I", "1 2 C E/23505 Z/I"],
    ] as const)("by %s", (_, messages, done, failed, uncommitted) => {
      const ran = async (text: string): Promise<{ client: RawClient; answer: string }> => {
        const client = await open();
        client.send(...messages(text));
        (await gateway.nextWaiting()).decide(await approve());
        // The Sync that some clients send once they have seen the answer.
        if (messages === byFlush) {
          await expect.poll(() => traces).toHaveLength(1);
          await sleep(30);
          client.send(raw.sync);
        }
        const answer = withoutKeepAlive(await client.answer());
        await expect.poll(() => outcomes).toHaveLength(1);
        return { client, answer };
      };

      test("the transaction that it ran in is known beforehand, and tells what came of it", async () => {
        const { client, answer } = await ran("delete from t where id = 1");
        expect(answer).toBe(done);
        expect(await fateOf(traces[0])).toEqual({ fate: "committed" });
        expect(outcomes).toEqual([{ outcome: "done", rows: 1 }]);
        expect((await admin.query("select id from t")).rows).toEqual([{ id: 2 }]);
        await expect.poll(stateOf).toEqual({ state: "idle" });
        client.send(raw.query("select 1"));
        expect(await client.answer()).toBe("T D C Z/I");
      });

      test("failed, that transaction is undone and the session is in none", async () => {
        const { client, answer } = await ran("delete from t where 1 / (id - 1) > 0");
        expect(answer).toBe(failed);
        expect(await fateOf(traces[0])).toEqual({ fate: "aborted" });
        expect(outcomes).toMatchObject([{ outcome: "failed", error: { code: "22012" } }]);
        client.send(raw.query("select 1"));
        expect(await client.answer()).toBe("T D C Z/I");
      });

      test("undone at its commit, it has failed", async () => {
        const { client, answer } = await ran("insert into once values (1)");
        expect(answer).toBe(uncommitted);
        expect(await fateOf(traces[0])).toEqual({ fate: "aborted" });
        expect(outcomes).toMatchObject([{ outcome: "failed", error: { code: "23505" } }]);
        client.send(raw.query("select 1"));
        expect(await client.answer()).toBe("T D C Z/I");
      });
    });

    test("nothing is sent before that it begins is noted down, nor where that cannot be", async () => {
      const client = await open();
      client.send(raw.query("delete from t where id = 1"));
      const waiting = await gateway.nextWaiting();
      const verdict = await approve();
      let noted: (() => void) | undefined;
      let broken: ((error: Error) => void) | undefined;
      const started = (): Promise<void> =>
        new Promise((resolve, reject) => {
          noted = resolve;
          broken = reject;
        });
      waiting.decide({ ...verdict, started } as HoldVerdict);
      await expect.poll(() => noted).toBeDefined();
      await sleep(30);
      const locks =
        "select count(*)::int as n from pg_locks where relation = 't'::regclass and mode = 'RowExclusiveLock'";
      expect((await admin.query(locks)).rows).toEqual([{ n: 0 }]);
      broken?.(new Error("the disk is full"));
      expect(withoutKeepAlive(await client.answer())).toBe("E/58000 Z/I");
      expect(outcomes).toMatchObject([{ outcome: "failed", error: { code: "58000" } }]);
      expect((await admin.query("select count(*)::int as n from t")).rows).toEqual([{ n: 2 }]);
      client.send(raw.query("select 1"));
      expect(withoutKeepAlive(await client.answer())).toBe("T D C Z/I");
      expect(await stateOf()).toEqual({ state: "idle" });
    });

    test("what cannot run inside a transaction runs outside, without a trace", async () => {
      const client = await open();
      client.send(raw.query("vacuum t"));
      (await gateway.nextWaiting()).decide(await approve());
      expect(withoutKeepAlive(await client.answer())).toMatch(/C Z\/I$/);
      expect(traces).toEqual([undefined]);
      client.send(raw.query("begin"), raw.query("vacuum t"));
      (await gateway.nextWaiting()).decide(await approve());
      expect(await client.answer()).toBe("C Z/T");
      expect(withoutKeepAlive(await client.answer())).toBe("E/25001 Z/E");
    });

    test.each([
      ["a simple query", [raw.query("copy t from stdin")], [raw.copyData("7\n8\n"), raw.copyDone], "G C Z/I"],
      [
        "extended messages",
        bySync("copy t from stdin"),
        [raw.copyData("7\n8\n"), raw.copyDone, raw.sync],
        "1 2 G C Z/I",
      ],
      [
        "a failing end",
        bySync("copy t from stdin"),
        [raw.copyData("seven\n"), raw.copyDone, raw.sync],
        "1 2 G E/22P02 Z/I",
      ],
    ])("COPY by %s is settled after its end", async (_, messages, data, answer) => {
      const client = await open();
      client.send(...messages);
      (await gateway.nextWaiting()).decide(await approve());
      const began = await client.upTo("G");
      await sleep(100);
      expect(outcomes).toEqual([]);
      client.send(...data, raw.query("select count(*) from t"));
      const rest = withoutKeepAlive(raw.describe([...began, ...(await client.upTo("Z"))]));
      expect(rest).toBe(answer);
      expect(await client.answer()).toBe("T D C Z/I");
      expect(outcomes).toMatchObject([answer.includes("E") ? { outcome: "failed" } : { outcome: "done", rows: 2 }]);
    });

    test("waited too long inside a transaction, that is aborted at the server too, and the client hears so", async () => {
      const client = await open();
      client.send(raw.query("begin"), raw.query("delete from t"));
      const waiting = await gateway.nextWaiting();
      expect(await client.answer()).toBe("C Z/T");
      waiting.decide({ is: "expired", words: "it waited for 2m inside a transaction" });
      const messages = await client.upTo("Z");
      expect(withoutKeepAlive(raw.describe(messages))).toBe("E/57014 Z/E");
      const said = messages.find(({ type }) => type === "E");
      expect(said?.body.toString()).toContain("it waited for 2m inside a transaction");
      expect(said?.body.toString()).toContain("the transaction is aborted: roll it back");
      expect(await stateOf()).toEqual({ state: "idle in transaction (aborted)" });
      client.send(raw.query("select 1"), raw.query("rollback"), raw.query("select 1"));
      for (const answer of ["E/25P02 Z/E", "C Z/I", "T D C Z/I"])
        expect(withoutKeepAlive(await client.answer())).toBe(answer);
    });

    test("the connection lost while it runs: nobody says what came of it", async () => {
      const client = await open();
      client.send(raw.query("delete from t where pg_sleep(10) is not null"));
      (await gateway.nextWaiting()).decide(await approve());
      await expect.poll(stateOf).toEqual({ state: "active" });
      await expect.poll(() => traces).toHaveLength(1);
      await sleep(50);
      await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'worker'");
      await expect.poll(() => outcomes).toMatchObject([{ outcome: "unknown" }]);
      expect(await fateOf(traces[0])).toEqual({ fate: "aborted" });
    });

    test("the client gone while it runs: nobody says what came of it", async () => {
      const client = await open();
      client.send(raw.query("delete from t where pg_sleep(10) is not null"));
      (await gateway.nextWaiting()).decide(await approve());
      await expect.poll(() => traces).toHaveLength(1);
      await sleep(50);
      client.close();
      await expect.poll(() => outcomes).toEqual([{ outcome: "unknown" }]);
      await expect.poll(() => fateOf(traces[0])).toEqual({ fate: "aborted" });
    });

    test("a host that cannot ask refuses, and a recording that ends badly ends the session", async () => {
      const client = await open();
      client.send(raw.query("delete from t"));
      const waiting = await gateway.nextWaiting();
      waiting.decide({
        is: "run",
        started: () => Promise.resolve(),
        settle: () => Promise.resolve({ end: { why: "policy", words: "the privilege could not be taken back" } }),
      });
      const messages = await client.upTo("Z");
      expect(withoutKeepAlive(raw.describe(messages))).toBe("E/42501 Z/I");
      const last = await client.next();
      expect(raw.fieldsOf(last)).toMatchObject({ S: "FATAL", M: "the privilege could not be taken back" });
    });
  });
}
