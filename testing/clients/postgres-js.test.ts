/** The driver postgres.js through the gateway, with its usual features: it prepares and pipelines everything by itself. */
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { testServer, testVersions } from "../cluster.ts";
import { databaseOf, startGround, type Ground } from "./ground.ts";

for (const version of testVersions) {
  describe.skipIf(!(await testServer(version)))(`postgres.js at postgresql ${version}`, () => {
    let ground: Ground;
    let key: DeliveredKey;
    const open: postgres.Sql[] = [];
    const notices: string[] = [];
    beforeAll(async () => {
      ground = await startGround(version);
      key = await ground.key("everything");
    }, 60_000);
    afterAll(() => ground[Symbol.asyncDispose]());
    afterEach(async () => {
      for (const one of open.splice(0)) await one.end({ timeout: 5 });
    });

    const connect = (change: postgres.Options<Record<string, postgres.PostgresType>> = {}): postgres.Sql => {
      const sql = postgres({
        host: String(key.endpoint["host"]),
        port: Number(key.endpoint["port"]),
        user: key.user,
        password: key.secret,
        database: databaseOf(key),
        ssl: { ca: String(key.endpoint["ca"]) },
        onnotice: ({ message }) => notices.push(message ?? ""),
        ...change,
      });
      open.push(sql);
      return sql;
    };

    test("queries at once, over several connections and pipelined on one", async () => {
      for (const max of [5, 1]) {
        const sql = connect({ max });
        const asked = Array.from(
          { length: 200 },
          (_, n) => sql<{ n: number }[]>`select n from numbers where n = ${n + 1}`,
        );
        expect((await Promise.all(asked)).map(([row]) => row?.n)).toEqual(asked.map((_, n) => n + 1));
      }
    }, 60_000);

    test("without preparing, and in the simple protocol", async () => {
      const sql = connect({ prepare: false });
      expect(await sql`select status from orders where id = ${2}`).toMatchObject([{ status: "paid" }]);
      expect(await sql`select 1 as a; select 2 as b`.simple()).toMatchObject([[{ a: 1 }], [{ b: 2 }]]);
    }, 60_000);

    test("types, arrays and json, and helpers that build lists and inserts", async () => {
      const sql = connect();
      const at = new Date("2026-11-22T10:00:00Z");
      expect(
        await sql`select ${42}::int as i, ${"ü'\\"} as t, ${sql.json({ a: [1] })} as j, ${at}::timestamptz as at, ${[1, 2]}::int[] as a`,
      ).toMatchObject([{ i: 42, t: "ü'\\", j: { a: [1] }, at, a: [1, 2] }]);
      expect(await sql`select id from orders where status in ${sql(["new", "sent"])} order by id`).toMatchObject([
        { id: 1 },
        { id: 3 },
      ]);
      const rolledBack = sql.begin(async (tx) => {
        const rows = await tx`insert into orders ${tx([{ status: "a" }, { status: "b" }])} returning status`;
        expect(rows).toMatchObject([{ status: "a" }, { status: "b" }]);
        throw new Error("enough");
      });
      await expect(rolledBack).rejects.toThrow("enough");
      expect(await sql`select count(*)::int as n from orders`).toMatchObject([{ n: 3 }]);
    }, 60_000);

    test("transactions and savepoints", async () => {
      const sql = connect();
      await sql.begin(async (tx) => {
        await tx`update orders set note = 'kept' where id = 1`;
        await tx
          .savepoint(async (inner) => {
            await inner`update orders set note = 'lost' where id = 1`;
            await inner`insert into orders (id, status) values (1, 'twice')`;
          })
          .catch((error: unknown) => expect(error).toMatchObject({ code: "23505", constraint_name: "orders_pkey" }));
      });
      expect(await sql`select note from orders where id = 1`).toMatchObject([{ note: "kept" }]);
    }, 60_000);

    test("cursors, and rows one by one", async () => {
      const sql = connect();
      const sizes: number[] = [];
      await sql`select n from numbers order by n`.cursor(8_000, (rows) => {
        sizes.push(rows.length);
      });
      expect(sizes).toEqual([8_000, 8_000, 4_000]);
      let seen = 0;
      await sql`select n from numbers`.forEach(() => (seen += 1));
      expect(seen).toBe(20_000);
    }, 60_000);

    test("copies out and in as streams", async () => {
      const sql = connect();
      const out = await sql`copy (select n from numbers where n <= 1000 order by n) to stdout`.readable();
      let text = "";
      for await (const part of out) text += String(part);
      expect(text.trim().split("\n")).toHaveLength(1_000);
      const into = await sql`copy payments (order_id, cents) from stdin`.writable();
      await new Promise<void>((resolve, reject) => {
        into.on("finish", resolve).on("error", reject);
        for (let n = 0; n < 1_000; n++) into.write(`${n}\t${n}\n`);
        into.end();
      });
      expect(await sql`select count(*)::int as n from payments`).toMatchObject([{ n: 1_000 }]);
    }, 60_000);

    test("cancels a query, and goes on", async () => {
      const sql = connect({ max: 1 });
      // The driver passes a cancel over while it is still connecting.
      await sql`select 1`;
      const long = sql`select count(*) from numbers a, numbers b, numbers c`.execute();
      setTimeout(() => long.cancel(), 300);
      await expect(long).rejects.toMatchObject({ code: "57014" });
      expect(await sql`select 1 as one`).toMatchObject([{ one: 1 }]);
    }, 60_000);

    test("describes a statement without running it", async () => {
      const sql = connect();
      const { columns } = await sql`select id, status from orders where id = ${1}`.describe();
      expect(columns.map(({ name }) => name)).toEqual(["id", "status"]);
    }, 60_000);

    test("notices and errors", async () => {
      const sql = connect({ max: 1 });
      await sql`rollback`.simple();
      expect(notices).toContain("there is no transaction in progress");
      await expect(sql`select statsu from orders`).rejects.toMatchObject({ code: "42703", position: "8" });
      await expect(sql`drop table orders`).rejects.toMatchObject({ code: "42501" });
      expect(await sql`select 1 as one`).toMatchObject([{ one: 1 }]);
    }, 60_000);
  });
}
