/** The driver `pg` through the gateway, with its usual features. */
import { Client, DatabaseError, Pool, type PoolConfig } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { testServer, testVersions } from "../cluster.ts";
import { databaseOf, startGround, type Ground } from "./ground.ts";

for (const version of testVersions) {
  describe.skipIf(!(await testServer(version)))(`pg at postgresql ${version}`, () => {
    let ground: Ground;
    let key: DeliveredKey;
    const open: { end(): Promise<void> }[] = [];
    beforeAll(async () => {
      ground = await startGround(version);
      key = await ground.key("everything");
    }, 60_000);
    afterAll(() => ground[Symbol.asyncDispose]());
    afterEach(async () => {
      for (const one of open.splice(0)) await one.end();
    });

    const config = (): PoolConfig => ({
      host: String(key.endpoint["host"]),
      port: Number(key.endpoint["port"]),
      user: key.user,
      password: key.secret,
      database: databaseOf(key),
      ssl: { ca: String(key.endpoint["ca"]) },
    });
    const pool = (change: PoolConfig = {}): Pool => {
      const made = new Pool({ ...config(), ...change });
      open.push(made);
      return made;
    };
    const connect = async (): Promise<Client> => {
      const client = new Client(config());
      await client.connect();
      open.push(client);
      return client;
    };

    test("a pool, many queries at once", async () => {
      const many = pool({ max: 5 });
      const asked = Array.from({ length: 200 }, (_, n) =>
        many.query<{ n: number }>("select n from numbers where n = $1", [n + 1]),
      );
      expect((await Promise.all(asked)).map(({ rows }) => rows[0]?.n)).toEqual(asked.map((_, n) => n + 1));
      expect(many.totalCount).toBe(5);
    }, 60_000);

    test("prepared statements, by name, with every type of parameter", async () => {
      const client = await connect();
      const text =
        "select $1::int as i, $2::text as t, $3::jsonb as j, $4::timestamptz as at, $5::bytea as b, $6::text[] as a, $7::bool as n";
      const at = new Date("2026-11-22T10:00:00Z");
      const values = [42, "ü'\\", { a: [1] }, at, Buffer.from([0, 255]), ["x", null], null];
      for (let turn = 0; turn < 3; turn++)
        expect((await client.query({ name: "types", text, values })).rows).toEqual([
          { i: 42, t: "ü'\\", j: { a: [1] }, at, b: Buffer.from([0, 255]), a: ["x", null], n: null },
        ]);
      const other = { name: "of a table", text: "select status from orders where id = $1" };
      expect((await client.query({ ...other, values: [1] })).rows).toEqual([{ status: "new" }]);
      expect((await client.query({ ...other, values: [2] })).rows).toEqual([{ status: "paid" }]);
    }, 60_000);

    test("transactions, savepoints, returning, and what was rolled back is not there", async () => {
      const client = await connect();
      await client.query("begin isolation level repeatable read");
      const { rows } = await client.query<{ id: number }>("insert into orders (status) values ('mine') returning id");
      await client.query("savepoint before");
      await expect(
        client.query("insert into orders (id, status) values ($1, 'again')", [rows[0]?.id]),
      ).rejects.toMatchObject({
        code: "23505",
        constraint: "orders_pkey",
        table: "orders",
      });
      await client.query("rollback to savepoint before");
      expect((await client.query("update orders set note = 'x' where id = $1", [rows[0]?.id])).rowCount).toBe(1);
      await client.query("rollback");
      expect((await client.query("select count(*)::int as n from orders")).rows).toEqual([{ n: 3 }]);
    }, 60_000);

    test("errors with everything that the server says of them", async () => {
      const client = await connect();
      const error: unknown = await client.query("select statsu from orders").catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(DatabaseError);
      expect(error).toMatchObject({ code: "42703", position: "8", severity: "ERROR" });
      expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    }, 60_000);

    test("notices", async () => {
      const client = await connect();
      const told = new Promise<string | undefined>((resolve) => client.on("notice", ({ message }) => resolve(message)));
      await client.query("rollback");
      expect(await told).toBe("there is no transaction in progress");
    }, 60_000);

    test("results of many rows and of large ones", async () => {
      const client = await connect();
      const many = await client.query("select a.n, a.words from numbers a, generate_series(1, 10)");
      expect(many.rowCount).toBe(200_000);
      const wide = await client.query<{ w: string }>("select repeat('w', 20000000) as w");
      expect(wide.rows[0]?.w.length).toBe(20_000_000);
    }, 60_000);

    test("a cursor in a transaction", async () => {
      const client = await connect();
      await client.query("begin");
      await client.query("declare few cursor for select n from numbers order by n");
      expect((await client.query("fetch 2 from few")).rows).toEqual([{ n: 1 }, { n: 2 }]);
      expect((await client.query("fetch forward 1 from few")).rows).toEqual([{ n: 3 }]);
      await client.query("close few");
      await client.query("commit");
    }, 60_000);

    test("a time limit of its own, by the server", async () => {
      const client = await connect();
      await client.query("set statement_timeout = '200ms'");
      await expect(client.query("select count(*) from numbers a, numbers b, numbers c")).rejects.toMatchObject({
        code: "57014",
      });
      expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    }, 60_000);

    test("several statements in one query", async () => {
      const client = await connect();
      // `pg` answers several statements with several results.
      const results = (await client.query("select 1 as a; select 2 as b")) as unknown as { rows: unknown[] }[];
      expect(results.map(({ rows }) => rows)).toEqual([[{ a: 1 }], [{ b: 2 }]]);
    }, 60_000);
  });
}
