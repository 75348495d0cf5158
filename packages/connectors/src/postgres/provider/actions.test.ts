import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Client } from "pg";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import { newNativeName } from "@cardea/core/contract/native-name";
import type { Action } from "@cardea/core/documents/request";
import type { ActionOrder, ActionOutcome, Preview } from "../../connector.ts";
import { testResource, type TestResource } from "../fixture/resource.ts";
import { systemRandom } from "../fixture/system.ts";
import type { SqlWhat } from "../spec/statement/action.ts";
import type { PostgresProvider } from "./provider.ts";

const signal = (): AbortSignal => AbortSignal.timeout(20_000);
const silent = (): Promise<void> => Promise.resolve();

const makings = [...testVersions.map((version) => [version, 64] as const), [18, 0] as const];

for (const [version, ownLogins] of makings) {
  const available = await testServer(version);

  describe.skipIf(!available)(`actions on postgresql ${version}${ownLogins === 0 ? ", by makers" : ""}`, () => {
    let cluster: TestCluster;
    let resource: TestResource;
    let provider: PostgresProvider;
    const database = (): string => resource.databases[0] ?? "";

    beforeAll(async () => {
      cluster = await startTestCluster({ version });
      resource = await testResource(cluster, { ddl: true, ownLogins, databases: 2 });
      provider = resource.open();
    });
    afterEach(async () => {
      for (const name of await resource.logins()) await provider.end(name, signal());
    });
    afterAll(async () => {
      await resource.close();
      await cluster.stop();
    });

    const look = (statement: string, more: Partial<SqlWhat> = {}, by = provider): Promise<Preview> =>
      by.actions.preview({ type: "sql", what: { database: database(), statement, ...more } }, signal());
    const seen = async (statement: string, more: Partial<SqlWhat> = {}): Promise<Action> =>
      (await look(statement, more)).action;
    const ordered = (action: Action, more: Partial<ActionOrder> = {}): ActionOrder => {
      const { lease, nativeName, notAfterMs } = resource.order();
      return { lease, nativeName, notAfterMs, action, ...more };
    };
    /** A session of a key that may read orders. */
    const session = async (): Promise<{ client: Client; nativeName: string }> => {
      const wanted = resource.order("read");
      const login = await provider.create(wanted, signal());
      return { client: await resource.client(login), nativeName: wanted.nativeName };
    };
    const memberships = async (login: string): Promise<number> => {
      const [row] = await resource.su(
        `select count(*)::int as n from pg_auth_members m join pg_roles r on r.oid = m.member where r.rolname = '${login}'`,
      );
      return Number(row?.["n"]);
    };
    const ran = async (
      action: Action,
      more: Partial<ActionOrder> = {},
      started: (trace: string | undefined) => Promise<void> = silent,
      until = signal(),
    ): Promise<ActionOutcome> => {
      const one = ordered(action, more);
      try {
        return await provider.actions.run(one, started, until);
      } finally {
        expect((await provider.end(one.nativeName, signal())).misuse).toEqual([]);
      }
    };
    const refused = { code: "42501" };

    describe("lent to a session", () => {
      test("a statement runs where it waited, inside the open transaction; taken back, it does not", async () => {
        const { client, nativeName } = await session();
        const statement = "update orders set note = 'x' where id = 1";
        const one = ordered(await seen(statement), { nativeName });
        await client.query("begin; savepoint s");
        await expect(client.query(statement)).rejects.toMatchObject(refused);
        await client.query("rollback to s");
        expect(await provider.actions.lend(one, signal())).toEqual({});
        expect(await provider.actions.lend(one, signal())).toEqual({});
        await client.query(statement);
        await client.query("savepoint s");
        for (const other of [
          "delete from orders",
          "update orders set status = 'x'",
          "select id from payments",
          "insert into orders (note) values ('x')",
        ]) {
          await expect(client.query(other), other).rejects.toMatchObject(refused);
          await client.query("rollback to s");
        }
        await provider.actions.takeBack(one, signal());
        await provider.actions.takeBack(one, signal());
        expect(await memberships(nativeName)).toBe(1);
        await expect(client.query(statement)).rejects.toMatchObject(refused);
        await client.query("rollback");
        await client.query("select id from orders");
        expect(await provider.end(nativeName, signal())).toEqual({ closedSessions: 1, misuse: [] });
      });

      test("definitions run as the role that owns things, and only while it is lent", async () => {
        const { client, nativeName } = await session();
        const one = ordered(await seen("alter table orders add column lent int"), { nativeName });
        expect(await provider.actions.lend(one, signal())).toEqual({ as: resource.owner });
        await client.query(`set role ${resource.owner}`);
        await client.query("alter table orders add column lent int");
        await client.query("reset role");
        await provider.actions.takeBack(one, signal());
        await expect(client.query(`set role ${resource.owner}`)).rejects.toMatchObject(refused);
        await expect(client.query("alter table orders drop column lent")).rejects.toMatchObject(refused);
        await resource.su("alter table orders drop column lent");
        expect(await provider.end(nativeName, signal())).toMatchObject({ misuse: [] });
      });

      test("what was lent when we died goes with the login, and is no misuse", async () => {
        for (const statement of ["delete from orders where id = 99", "alter table orders add column lent int"]) {
          const { client, nativeName } = await session();
          await provider.actions.lend(ordered(await seen(statement), { nativeName }), signal());
          const closed = new Promise((done) => client.once("end", done));
          expect(await resource.open().end(nativeName, signal())).toEqual({ closedSessions: 1, misuse: [] });
          await closed;
        }
        await provider.listOwn(signal());
        expect(await resource.marked()).toEqual([]);
      });

      test("the role that the key has anyway is not taken back with it", async () => {
        const wanted = resource.order("write", {
          patterns: resource.order("write").patterns.filter(({ name }) => name === "sql.insert"),
        });
        const client = await resource.client(await provider.create(wanted, signal()));
        const one = ordered(await seen("insert into orders select * from orders where false"), wanted);
        await provider.actions.lend(one, signal());
        await provider.actions.takeBack(one, signal());
        await client.query("insert into orders (status) values ('still')");
        await resource.su("delete from orders where status = 'still'");
      });

      test("what was lent under another configuration is noticed when it is taken back", async () => {
        const { nativeName } = await session();
        const one = ordered(await seen("alter table orders add column lent int"), { nativeName });
        await provider.actions.lend(one, signal());
        const changed = resource.open((config) => ({ ...config, ddl: { as: resource.reader } }));
        await expect(changed.actions.takeBack(one, signal())).rejects.toMatchObject({ code: "lease_stuck" });
      });

      test("only logins of ours are lent anything", async () => {
        const action = await seen("delete from orders where id = 99");
        const foreign = newNativeName(systemRandom.bytes(32), 2e12, systemRandom).name;
        for (const nativeName of [resource.reader, foreign]) {
          await expect(provider.actions.lend(ordered(action, { nativeName }), signal())).rejects.toThrow(TypeError);
          await expect(provider.actions.takeBack(ordered(action, { nativeName }), signal())).rejects.toThrow(TypeError);
        }
        // A login that has ended.
        await expect(provider.actions.lend(ordered(action), signal())).rejects.toMatchObject({ effect: "none" });
        await provider.actions.takeBack(ordered(action), signal());
      });

      test("what cannot be lent is refused, and says why", async () => {
        const { nativeName } = await session();
        const action = await seen("delete from orders where id = 99");
        const withPatterns = (patterns: object[]): ActionOrder =>
          ordered(
            { ...action, binding: { ...action.binding, aspects: [], patterns: patterns as never } },
            { nativeName },
          );
        const databases = [database()];
        for (const patterns of [
          [{ name: "sql.grant", databases, tables: ["public.orders"] }],
          [{ name: "sql.admin", databases }],
          [{ name: "sql.truncate", databases }],
          [{ name: "toString" }],
        ])
          await expect(provider.actions.lend(withPatterns(patterns), signal())).rejects.toMatchObject({
            code: "action_refused",
          });
        // Reading the system's tables is lent to nobody, however wide the administrator is.
        const secret = withPatterns([{ name: "sql.select", databases, tables: ["pg_catalog.pg_authid"] }]);
        expect(await provider.actions.lend(secret, signal())).toEqual({});
        expect(await memberships(nativeName)).toBe(1);
        const without = resource.open(({ ddl: _ddl, ...config }) => config);
        const define = ordered(await seen("drop table orders"), { nativeName });
        await expect(without.actions.lend(define, signal())).rejects.toMatchObject({ code: "action_refused" });
        await resource.su("create table hidden (id int)");
        const hidden = ordered(await seen("select id from hidden"), { nativeName });
        await expect(provider.actions.lend(hidden, signal())).rejects.toMatchObject({
          code: "resource_privilege_missing",
        });
        expect(await memberships(nativeName)).toBe(1);
      });

      test("bundles that are tidied away meanwhile are made again", async () => {
        const { client, nativeName } = await session();
        const one = ordered(await seen("delete from orders where id = 99"), { nativeName });
        for (let round = 0; round < 10; round++) {
          await Promise.all([provider.actions.lend(one, signal()), provider.listOwn(signal())]);
          await client.query("delete from orders where id = 99");
          await Promise.all([provider.actions.takeBack(one, signal()), provider.listOwn(signal())]);
          await expect(client.query("delete from orders where id = 99")).rejects.toMatchObject(refused);
        }
      });

      test("a table that was made anew is lent anew", async () => {
        const { client, nativeName } = await session();
        const make = `create table again (id int); grant delete, select on again to ${resource.admin} with grant option`;
        await resource.su(make);
        const statement = "delete from again where id = 1";
        const first = ordered(await seen(statement), { nativeName });
        await provider.actions.lend(first, signal());
        await provider.actions.takeBack(first, signal());
        await resource.su(`drop table again; ${make}`);
        const second = ordered(await seen(statement), { nativeName });
        await provider.actions.lend(second, signal());
        await client.query(statement);
      });
    });

    describe("sequences that give columns their values come along", () => {
      test("with what is lent, and with what a role gives", async () => {
        await resource.su(`create sequence numbers; create table counted (id int default nextval('numbers'), more serial, note text);
          grant select, insert, update on counted to ${resource.admin} with grant option;
          grant usage on sequence numbers, counted_more_seq to ${resource.admin} with grant option`);
        for (const statement of [
          "insert into counted (note) values ('x')",
          "insert into payments (cents) values (1)",
          "update counted set id = default where note = 'x'",
        ])
          expect(await ran(await seen(statement)), statement).toMatchObject({ outcome: "done" });
        const role = { grant: [{ tables: ["public.counted"], privileges: ["insert(note)"] }] };
        const writer = resource.open((config) => ({ ...config, roles: { ...config.roles, writer: role } }));
        const order = resource.order("writer", {
          patterns: [
            {
              name: "sql.insert",
              facets: {
                databases: { matcher: "set", values: [database()] },
                tables: { matcher: "names", values: ["public.counted"] },
                columns: { matcher: "set", values: ["note"] },
              },
            },
          ],
        });
        const client = await resource.client(await writer.create(order, signal()));
        await client.query("insert into counted (note) values ('x')");
        await writer.end(order.nativeName, signal());
        await writer.listOwn(signal());
        const left = await resource.su(
          "select relacl::text from pg_class where relname in ('numbers', 'counted_more_seq')",
        );
        expect(JSON.stringify(left)).not.toContain("cardea_");
      });
    });

    describe("a preview", () => {
      test("says what it touches and how many rows are expected, and is the same each time", async () => {
        await resource.su("insert into payments (order_id) select generate_series(1, 5000); analyze payments");
        const statement = "update payments set cents = $1 where order_id > 0";
        const first = await look(statement, { params: ["7"] });
        expect(first.action).toMatchObject({
          type: "sql",
          name: "sql.update",
          what: { database: database(), statement, params: ["7"] },
          binding: { kind: "update", ddl: false, transaction: "may", settings: { search_path: ["public"] } },
        });
        expect(first.estimate?.rows).toBeGreaterThan(4_000);
        expect(await look(statement, { params: ["7"] }, resource.open())).toEqual(first);
        expect(await resource.logins()).toEqual([]);
      });

      test("takes a few connections at most, however many are asked for", async () => {
        const [begun] = await resource.su("select clock_timestamp()::text as at");
        const opened = async (): Promise<number> => {
          const [row] = await resource.su(
            `select count(*)::int as n from pg_stat_activity
              where usename = '${resource.admin}' and backend_start >= '${String(begun?.["at"])}'`,
          );
          return Number(row?.["n"]);
        };
        const under = { way: true };
        const all = Promise.all(Array.from({ length: 40 }, () => look("select id from orders where id = 1"))).finally(
          () => (under.way = false),
        );
        let most = 0;
        while (under.way) most = Math.max(most, await opened());
        expect(new Set((await all).map((one) => JSON.stringify(one))).size).toBe(1);
        // Four look at once, beside the provider's own connections; some may be on their way out.
        expect(most).toBeLessThanOrEqual(20);
        expect(most).toBeGreaterThan(0);
      });

      test("runs nothing, not even what planning would", async () => {
        await resource
          .su(
            `create table heard (said text);
          create function shouts() returns int stable language sql as 'select 1';
          create extension if not exists dblink;
          create function acts() returns int stable language plpgsql as $$ begin
            perform public.dblink_exec('host=127.0.0.1 port=${cluster.port} dbname=' || current_database() || ' user=${cluster.superuser.user} password=${cluster.superuser.password}',
              'insert into public.heard values (''planned'')'); return 1; end $$;
          create view louder as select id from orders where id = acts();
          grant select on louder to ${resource.admin} with grant option`,
          )
          .catch(() => undefined);
        for (const statement of [
          "select id from orders where id = acts()",
          "select * from louder",
          "update orders set note = 'x' where id = acts()",
          "select nextval('payments_id_seq')",
        ]) {
          const { estimate, action } = await look(statement);
          expect(estimate, statement).toBeUndefined();
          expect(action.binding).toBeDefined();
        }
        expect(await resource.su("select * from heard")).toEqual([]);
        expect(await resource.su("select is_called from payments_id_seq where last_value < 1000000")).toHaveLength(1);
      });

      test.each([
        ["two statements", "select 1; select 2"],
        ["none", "-- nothing"],
        ["a prepared one", "prepare p as select 1"],
        ["a cursor", "declare c cursor for select 1"],
        ["a block of code", "do $$ begin end $$"],
        ["a setting", "set search_path = x"],
        ["a role", "set role postgres"],
        ["a transaction", "begin"],
        ["listening", "listen x"],
        ["a temporary table", "create temp table x (id int)"],
        ["data of a session", "copy orders from stdin"],
        ["data for a session", "copy orders to stdout"],
        ["a new role", "create role x"],
        ["privileges", "grant select on orders to public"],
        ["tables that are not named", "truncate orders cascade"],
        ["what is not there", "select * from nowhere"],
        ["what is no SQL", "selct 1"],
      ])("refuses %s", async (_what, statement) => {
        await expect(look(statement)).rejects.toMatchObject({ code: "action_refused" });
      });

      test("refuses what is malformed, other kinds, other databases, and the wrong number of parameters", async () => {
        const what = { database: database(), statement: "select 1" };
        const call = (type: string, given: Record<string, unknown>): Promise<Preview> =>
          provider.actions.preview({ type, what: given as never }, signal());
        await expect(call("http", what)).rejects.toMatchObject({ code: "action_refused" });
        await expect(call("sql", { ...what, database: "postgres" })).rejects.toMatchObject({ code: "action_refused" });
        for (const given of [
          { ...what, more: 1 },
          { database: database() },
          { ...what, statement: "select '\0'" },
          { ...what, params: [] },
          { ...what, params: ["1"] },
          { ...what, statement: "select $1" },
          { ...what, statement: "select $1", params: [{ base64: "?" }] },
        ])
          await expect(call("sql", given)).rejects.toMatchObject({ code: "invalid_request" });
        await expect(look(`select '${"x".repeat(70_000)}'`)).rejects.toMatchObject({ code: "action_refused" });
      });

      test("looks up names as the run's login will, not as the administrator does", async () => {
        const { admin } = resource;
        await resource.su(`create schema app; create table app.orders (id int, note text); create schema "${admin}"; create table "${admin}".orders (id int);
          grant usage on schema app to ${admin} with grant option; grant usage on schema "${admin}" to ${admin} with grant option;
          grant select, update on app.orders to ${admin} with grant option;
          alter role ${admin} set search_path = pg_temp; alter database ${database()} set search_path = "$user", app, public`);
        try {
          const here = await look("update orders set note = 'x'");
          expect(here.action.binding).toMatchObject({ relations: [{ schema: "app", name: "orders" }] });
          expect(await ran(here.action)).toMatchObject({ outcome: "done", rows: 0 });
          // Of `app` the run can see nothing, where it is lent nothing there.
          const there = await look("update public.orders set note = 'x' where id = 1");
          expect(there.action.binding).toMatchObject({ settings: { search_path: ["public"] } });
          expect(await ran(there.action)).toMatchObject({ outcome: "done", rows: 1 });
        } finally {
          await resource.su(`alter role ${admin} reset search_path; alter database ${database()} reset search_path;
            drop schema app cascade; drop schema "${admin}" cascade`);
        }
      });
    });

    describe("a run", () => {
      const answer = ({ result }: ActionOutcome): unknown => JSON.parse(Buffer.from(result ?? []).toString());

      test("answers in texts, with the types' names and the command's tag", async () => {
        let trace: string | undefined;
        const action = await seen(
          "update orders set note = $1 where id = $2 returning id, note, null::bytea as b, 1.50::numeric(5,2)",
          {
            params: ["run", { base64: "AAAAAg==" }],
          },
        );
        const outcome = await ran(action, {}, (given) => {
          trace = given;
          return Promise.resolve();
        });
        expect(outcome).toMatchObject({ outcome: "done", rows: 1 });
        expect(answer(outcome)).toEqual({
          columns: [
            { name: "id", type: "integer" },
            { name: "note", type: "text" },
            { name: "b", type: "bytea" },
            { name: "numeric", type: "numeric(5,2)" },
          ],
          rows: [["2", "run", null, "1.50"]],
          command: "UPDATE 1",
        });
        expect(await provider.actions.resolve(trace ?? "", signal())).toBe("done");
        expect(await resource.su("select note from orders where id = 2")).toEqual([{ note: "run" }]);
      });

      test("defines things, also such as no transaction takes", async () => {
        const traces: (string | undefined)[] = [];
        for (const statement of [
          "create table made (id serial primary key, at timestamptz)",
          "create index concurrently made_at on made (at)",
          "vacuum made",
          "create function made_up() returns int language sql as 'select 1'",
          "drop function made_up()",
          "drop table made",
        ]) {
          const outcome = await ran(await seen(statement), {}, (trace) => {
            traces.push(trace);
            return Promise.resolve();
          });
          expect(outcome, statement).toMatchObject({ outcome: "done" });
        }
        expect(traces.map((trace) => trace === undefined)).toEqual([false, true, true, false, false, false]);
      });

      test("is not done where its names stand for something else since it was approved", async () => {
        await resource.su(`create table seen_t (id int); insert into seen_t values (1); create view seen_v as select id from seen_t;
          create function seen_f() returns int volatile language sql as 'select 1';
          grant select, update, delete on seen_t, seen_v to ${resource.admin} with grant option`);
        const cases: [string, string][] = [
          [
            "delete from seen_t where id = seen_f()",
            "create or replace function seen_f() returns int volatile language sql as 'select 2'",
          ],
          ["select * from seen_v", "create or replace view seen_v as select id from seen_t where id > 0"],
          [
            "update seen_t set id = 2",
            "create trigger seen before update on seen_t for each row execute function suppress_redundant_updates_trigger()",
          ],
        ];
        for (const [statement, change] of cases) {
          const action = await seen(statement);
          // First while it runs, after everything was looked at: it is noticed before it is committed.
          const during = ran(action, {}, async () => {
            await resource.su(change);
          });
          await expect(during, change).rejects.toMatchObject({ code: "binding_changed" });
          let began = 0;
          const after = ran(action, {}, () => Promise.resolve(void (began += 1)));
          await expect(after, change).rejects.toMatchObject({ code: "binding_changed" });
          expect(began).toBe(0);
        }
        await resource.su("drop view seen_v; drop table seen_t; drop function seen_f()");
      });

      test("is not done where another statement comes with the binding of the approved one", async () => {
        const action = await seen("update orders set note = 'x' where id = 1");
        for (const statement of [
          "update orders set note = 'x'",
          "update orders set note = 'x' where id = 2",
          "delete from orders",
        ]) {
          const other = { ...action, what: { ...action.what, statement } };
          await expect(ran(other), statement).rejects.toMatchObject({ code: "binding_changed" });
        }
        const elsewhere = { ...action, what: { ...action.what, database: resource.databases[1] ?? "" } };
        await expect(ran(elsewhere)).rejects.toMatchObject({ code: "binding_changed" });
        await expect(ran({ ...action, name: "sql.select" })).rejects.toMatchObject({ code: "binding_changed" });
      });

      test("fails with the server's own code, at its commit too", async () => {
        expect(await ran(await seen("insert into orders (id) values (1)"))).toMatchObject({
          outcome: "failed",
          error: { code: "23505" },
        });
        await resource.su(`create table late (id int, constraint once unique (id) deferrable initially deferred);
          grant insert, select on late to ${resource.admin} with grant option`);
        let trace: string | undefined;
        const outcome = await ran(await seen("insert into late values (1), (1)"), {}, (given) => {
          trace = given;
          return Promise.resolve();
        });
        expect(outcome).toMatchObject({ outcome: "failed", error: { code: "23505" } });
        expect(await provider.actions.resolve(trace ?? "", signal())).toBe("failed");
        expect(await resource.su("select * from late")).toEqual([]);
      });

      test("is not done where its answer is too long, whether many rows or one", async () => {
        await resource.su("update payments set cents = 0");
        for (const statement of [
          "update payments set cents = 1 where order_id < 3 returning repeat('x', 3000000)",
          "update payments set cents = 1 where order_id = 1 returning repeat('y', 200000000)",
          "update payments set cents = 1 returning repeat('z', 500)",
        ]) {
          const before = await resource.su("select count(*) from payments where cents = 1");
          await expect(ran(await seen(statement)), statement).rejects.toMatchObject({ code: "result_too_large" });
          expect(await resource.su("select count(*) from payments where cents = 1")).toEqual(before);
        }
      }, 30_000);

      test("stops at its deadline, and when nobody wants it any more", async () => {
        const slow = await seen("update orders set note = 'slow' where id = 3 and pg_sleep(20) is not null");
        const soon = await ran(slow, { notAfterMs: resource.host.clock.now() + 1_500 });
        expect(soon).toMatchObject({ outcome: "failed", error: { code: "57014" } });
        const soonAfter = (controller: AbortController) => (): Promise<void> => {
          setTimeout(() => controller.abort(), 200);
          return Promise.resolve();
        };
        const gone = new AbortController();
        const given = ran(slow, {}, soonAfter(gone), gone.signal);
        await expect(given).rejects.toMatchObject({ code: "cancelled", effect: "none" });
        // Outside a transaction the server is asked to stop, and says so.
        const holder = await resource.client({ user: cluster.superuser.user, secret: cluster.superuser.password });
        await holder.query("begin; update orders set note = 'held' where id = 1");
        try {
          const late = new AbortController();
          const index = await seen("create index concurrently orders_slow on orders (note)");
          const stopped = await ran(index, {}, soonAfter(late), late.signal);
          expect(stopped).toMatchObject({ outcome: "failed", error: { code: "57014" } });
        } finally {
          await holder.query("rollback");
        }
        await resource.su("drop index if exists orders_slow");
        expect(await resource.su("select * from orders where note = 'slow'")).toEqual([]);
      }, 30_000);

      test("its login may do nothing else, and only once", async () => {
        const action = await seen("update orders set note = 'x' where id = 1");
        const one = ordered(action);
        await provider.actions.run(
          one,
          async () => {
            const may = await resource.su(`select has_table_privilege('${one.nativeName}', 'orders', 'delete') as d,
              has_table_privilege('${one.nativeName}', 'payments', 'select') as p, has_column_privilege('${one.nativeName}', 'orders', 'status', 'update') as c,
              has_column_privilege('${one.nativeName}', 'orders', 'note', 'update') as n, rolconnlimit as l from pg_roles where rolname = '${one.nativeName}'`);
            expect(may).toEqual([{ d: false, p: false, c: false, n: true, l: 1 }]);
          },
          signal(),
        );
      });

      test("what it planted is taken out at its end", async () => {
        await resource.su("create function plants() returns oid volatile language sql as 'select lo_create(0)'");
        const one = ordered(await seen("select plants()"));
        expect(await provider.actions.run(one, silent, signal())).toMatchObject({ outcome: "done" });
        expect((await provider.end(one.nativeName, signal())).misuse).toHaveLength(1);
      });
    });

    test("registration names what is in the way of definitions", async () => {
      const about = async (
        as: string,
        change: (config: (typeof resource)["config"]) => typeof config = (same) => same,
      ): Promise<string[]> => {
        const inspection = await resource.open((config) => change({ ...config, ddl: { as } })).inspect(signal());
        return inspection.missing.map(({ what }) => what).filter((what) => what.includes(as));
      };
      expect(await about(resource.owner)).toEqual([]);
      expect(await about("nobody_at_all")).toHaveLength(1);
      expect(await about(cluster.superuser.user)).not.toEqual([]);
      expect(await about(resource.reader)).toHaveLength(1);
      expect(await about("pg_read_all_data")).not.toEqual([]);
    });
  });
}
