import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import { PublicPrivileges } from "@cardea/core/documents/public-privileges";
import type { Pattern } from "@cardea/core/documents/pattern";
import type { Provider } from "../../connector.ts";
import type { PostgresConfig } from "../spec/config.ts";
import { testResource, type TestResource } from "../fixture/resource.ts";
import { holderName } from "./owned.ts";

const signal = (): AbortSignal => AbortSignal.timeout(20_000);

// From 16 on logins can be made by others than the administrator: the same must hold for them.
const makings = [...testVersions.map((version) => [version, 64] as const), [18, 0] as const];

for (const [version, ownLogins] of makings) {
  const available = await testServer(version);

  describe.skipIf(!available)(`privileges on postgresql ${version}${ownLogins === 0 ? ", by makers" : ""}`, () => {
    let cluster: TestCluster;
    let resource: TestResource;
    let provider: Provider;
    const database = (): string => resource.databases[0] ?? "";

    beforeAll(async () => {
      cluster = await startTestCluster({ version, settings: { max_prepared_transactions: "4" } });
      resource = await testResource(cluster, { databases: 2, ownLogins });
      provider = resource.open();
    });
    afterEach(async () => {
      // A failed test must not fail the next one.
      for (const name of await resource.marked()) {
        if (!name.slice(17, 24).startsWith("0000000")) await provider.end(name, signal()).catch(() => undefined);
      }
      await provider.listOwn(signal()).catch(() => undefined);
    });
    afterAll(async () => {
      await resource.close();
      await cluster.stop();
    });

    const withRole = (name: string, role: PostgresConfig["roles"][string]): Provider =>
      resource.open((config) => ({ ...config, roles: { ...config.roles, [name]: role } }));

    /** What a key of the role may do on each table, as the server says. */
    const privilegesOf = async (login: string, table: string): Promise<string[]> => {
      const rows = await resource.su(
        `select p from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p where has_table_privilege('${login}', '${table}', p)`,
      );
      return rows.map((row) => String(row["p"]));
    };

    describe("a bundle", () => {
      test("gives exactly what the role says, by column too, and is removed when unused", async () => {
        const order = resource.order("write");
        const login = await provider.create(order, signal());
        const client = await resource.client(login);
        await client.query("insert into orders (status) values ('x') returning id");
        await client.query("update orders set status = 'y', note = 'z' where id = 1");
        for (const sql of [
          "update orders set secret = 'z'",
          "delete from orders",
          "truncate orders",
          "select * from payments",
          "create table t ()",
        ]) {
          await expect(client.query(sql), sql).rejects.toMatchObject({ code: "42501" });
        }
        expect(await privilegesOf(login.user, "orders")).toEqual(["select", "insert"]);
        await provider.end(order.nativeName, signal());
        expect(await resource.logins()).toEqual([]);
        expect(await provider.listOwn(signal())).toMatchObject({ ours: [] });
        expect(await resource.marked()).toEqual([]);
      });

      test("is one for the same permissions, whatever their order, and another for narrower ones", async () => {
        const orders = [resource.order("write"), resource.order("write")];
        const narrow = resource.order("write", {
          patterns: resource.order("write").patterns.filter(({ name }) => name === "sql.select"),
        });
        const [first, second] = orders;
        if (first === undefined || second === undefined) throw new Error("two orders");
        await provider.create(first, signal());
        await provider.create({ ...second, patterns: [...second.patterns].reverse() }, signal());
        const narrowed = await provider.create(narrow, signal());
        const { ours } = await provider.listOwn(signal());
        expect(ours.filter(({ what }) => what === "bundle")).toHaveLength(2);
        expect(await privilegesOf(narrowed.user, "orders")).toEqual(["select"]);
        await expect(
          (await resource.client(narrowed)).query("insert into orders (status) values ('x')"),
        ).rejects.toMatchObject({ code: "42501" });
        for (const { nativeName } of [...orders, narrow]) await provider.end(nativeName, signal());
      });

      test("narrowed to one database gives nothing in the other", async () => {
        const patterns = resource.order("write").patterns.map((pattern): Pattern => ({
          ...pattern,
          facets: { ...pattern.facets, databases: { matcher: "set", values: [database()] } },
        }));
        const order = resource.order("write", { patterns });
        const login = await provider.create(order, signal());
        await (await resource.client(login)).query("select id from orders");
        const other = await resource.client(login, resource.databases[1]);
        await expect(other.query("select id from orders")).rejects.toMatchObject({ code: "42501" });
        await provider.end(order.nativeName, signal());
      });

      test("inserts into serial columns: their sequences come along", async () => {
        const order = resource.order("everything");
        const client = await resource.client(await provider.create(order, signal()));
        await client.query("insert into payments (cents) values (1)");
        await expect(client.query("select nextval('orders_id_seq')")).rejects.toMatchObject({ code: "42501" });
        await provider.end(order.nativeName, signal());
      });

      test("with a pattern meets new tables: at the next key, and for keys that are out at the next listing", async () => {
        const first = resource.order("everything");
        const client = await resource.client(await provider.create(first, signal()));
        await resource.su(`create table late (i int); grant all on late to ${resource.admin} with grant option`);
        await expect(client.query("select * from late")).rejects.toMatchObject({ code: "42501" });
        const second = resource.order("everything");
        await provider.create(second, signal());
        await client.query("select * from late");

        await resource.su(
          `create table later (i int); grant all on later to ${resource.admin} with grant option`,
          resource.databases[1],
        );
        await provider.listOwn(signal());
        const rows = await resource.su(
          `select has_table_privilege('${first.nativeName}', 'later', 'truncate') as may`,
          resource.databases[1],
        );
        expect(rows).toEqual([{ may: true }]);
        for (const { nativeName } of [first, second]) await provider.end(nativeName, signal());
        await resource.su("drop table late");
        await resource.su("drop table later", resource.databases[1]);
      });

      test("never has CREATE on anything and never takes what cannot be enforced", async () => {
        const select = resource.order("write").patterns[0];
        if (select === undefined) throw new Error("a pattern");
        const refused: readonly (readonly Pattern[])[] = [
          [{ ...select, name: "sql.ddl.create" }],
          [{ ...select, name: "sql.*" }],
          [{ ...select, facets: { ...select.facets, requireWhere: { matcher: "flag", value: true } } }],
          [{ name: "sql.select" }],
          [
            {
              ...select,
              name: "sql.delete",
              facets: { ...select.facets, columns: { matcher: "set", values: ["status"] } },
            },
          ],
          [],
        ];
        for (const patterns of refused) {
          await expect(provider.create(resource.order("write", { patterns }), signal())).rejects.toMatchObject({
            code: "narrowing_unenforceable",
          });
        }
        const member = resource.order("read");
        await expect(provider.create({ ...member, patterns: [select] }, signal())).rejects.toMatchObject({
          code: "narrowing_unenforceable",
        });
        await expect(provider.create(resource.order("nothing"), signal())).rejects.toMatchObject({
          code: "role_unknown",
        });
        expect(await resource.marked()).toEqual([]);
      });

      test("behind a gateway, which refuses the rest, the role is given whole where it cannot be narrowed", async () => {
        const select = resource.order("write").patterns[0];
        if (select === undefined) throw new Error("a pattern");
        for (const [role, patterns] of [
          ["read", [select]],
          ["write", [{ name: "sql.select" }]],
        ] as const) {
          const behind = resource.order(role, { patterns, via: "gateway" });
          expect((await provider.create(behind, signal())).user).toBe(behind.nativeName);
          await provider.end(behind.nativeName, signal());
        }
        await provider.listOwn(signal());
        expect(await resource.marked()).toEqual([]);
      });

      test("whose comment was changed is not trusted: it is neither refreshed nor widened", async () => {
        const order = resource.order("everything");
        await provider.create(order, signal());
        const [bundle] = (await provider.listOwn(signal())).ours.filter(({ what }) => what === "bundle");
        await resource.su(`comment on role ${bundle?.nativeName ?? ""} is 'Cardea bundle [{"databases":["${database()}"],"name":"select","tables":["public.*"]}]';
          create table tempting (i int); grant all on tempting to ${resource.admin} with grant option`);
        await provider.listOwn(signal());
        expect(
          await resource.su(`select has_table_privilege('${order.nativeName}', 'tempting', 'select') as may`),
        ).toEqual([{ may: false }]);
        expect(resource.warnings).toContain("a bundle does not say what it gives, so it cannot be kept up to date");
        await provider.end(order.nativeName, signal());
        await resource.su("drop table tempting");
      });
    });

    describe("what the administrator may not give", () => {
      test("is named at registration and at issue, with the SQL that gives it, and nothing is left behind", async () => {
        await resource.su(
          `create schema hidden; create table hidden.invoices (id serial, total int); create table public.plain (id int); grant select on plain to ${resource.admin}`,
        );
        const greedy = withRole("greedy", {
          grant: [
            { tables: ["hidden.*"], privileges: ["select", "insert"] },
            { tables: ["public.plain"], privileges: ["select", "update(id)"] },
            { tables: ["public.nowhere"], privileges: ["select"] },
          ],
        });
        const { missing, roles } = await greedy.inspect(signal());
        const texts = missing.map(({ what }) => what);
        expect(texts).toContain(
          `\`${resource.admin}\` may not grant select on \`hidden.invoices\` in database \`${database()}\``,
        );
        expect(texts).toContain(
          `\`${resource.admin}\` may not grant usage on the schemas \`hidden\` in database \`${database()}\``,
        );
        expect(texts).toContain(`\`public.nowhere\` in database \`${database()}\` does not exist`);
        const patterns = roles["greedy"]?.patterns ?? [];
        await expect(greedy.create(resource.order("greedy", { patterns }), signal())).rejects.toMatchObject({
          code: "resource_privilege_missing",
        });
        expect(await provider.listOwn(signal())).toMatchObject({ ours: [] });
        expect(await resource.su("select count(*)::int as n from pg_class where relacl::text like '%cardea%'")).toEqual(
          [{ n: 0 }],
        );

        await resource.su("create table nowhere (i int)");
        await resource.su("create table nowhere (i int)", resource.databases[1]);
        for (let round = 0; round < 3; round++) {
          for (const { fix, what } of (await greedy.inspect(signal())).missing) {
            await resource.su(fix ?? "", resource.databases.find((name) => what.includes(name)) ?? database());
          }
        }
        expect((await greedy.inspect(signal())).missing).toEqual([]);
        const order = resource.order("greedy", { patterns });
        const client = await resource.client(await greedy.create(order, signal()));
        await client.query(
          "insert into hidden.invoices (total) values (1); select * from hidden.invoices; update plain set id = 1; select * from nowhere",
        );
        await provider.end(order.nativeName, signal());
        await resource.su("drop schema hidden cascade; drop table plain, nowhere");
        await resource.su("drop table nowhere", resource.databases[1]);
      });

      test("GRANT that only warns is not believed", async () => {
        // Select without grant option: granting it warns and gives nothing.
        await resource.su(`create table warned (i int); grant select on warned to ${resource.admin}`);
        const client = await resource.client({
          user: resource.admin,
          secret:
            "value" in (resource.config.connect.password ?? {})
              ? (resource.config.connect.password as { value: string }).value
              : "",
        });
        const notices: string[] = [];
        client.on("notice", (notice) => notices.push(notice.message ?? ""));
        await client.query(`grant select on warned to ${resource.reader}`);
        expect(notices).toEqual(['no privileges were granted for "warned"']);
        const strict = withRole("warned", { grant: [{ tables: ["public.warned"], privileges: ["select"] }] });
        const patterns = (await strict.inspect(signal())).roles["warned"]?.patterns ?? [];
        await expect(strict.create(resource.order("warned", { patterns }), signal())).rejects.toMatchObject({
          code: "resource_privilege_missing",
          message: `\`${resource.admin}\` may not grant select on \`public.warned\` in database \`${database()}\``,
        });
        await resource.su("drop table warned");
      });

      test("membership in a native role without ADMIN OPTION, or in one that is not there", async () => {
        await resource.su("create role unreachable nologin");
        const strict = resource.open((config) => ({
          ...config,
          roles: {
            a: { member: ["unreachable"], actions: ["sql.*"] },
            b: { member: ["no such role"], actions: ["sql.*"] },
          },
        }));
        const { missing } = await strict.inspect(signal());
        expect(missing.map(({ fix }) => fix)).toContain('create role "no such role" nologin;');
        // On 15 CREATEROLE reaches every role that is no superuser.
        if (version === 15) expect(missing).toHaveLength(1);
        else {
          await expect(
            strict.create(
              resource.order("a", { patterns: (await strict.inspect(signal())).roles["a"]?.patterns ?? [] }),
              signal(),
            ),
          ).rejects.toMatchObject({
            code: "resource_privilege_missing",
            effect: "none",
          });
          await resource.su(missing.find(({ what }) => what.includes("unreachable"))?.fix ?? "");
          expect((await strict.inspect(signal())).missing).toHaveLength(1);
        }
        await resource.su("drop role unreachable");
      });

      test("a native role that can do more than its configuration says", async () => {
        await resource.su(
          `grant insert, trigger on payments to ${resource.reader}; create function f() returns int language sql as 'select 1'; grant execute on function f() to ${resource.reader}`,
        );
        const { missing } = await provider.inspect(signal());
        const texts = missing.map(({ what }) => what).join("\n");
        for (const [action, object] of [
          ["sql.insert", "public.payments"],
          ["sql.ddl.create", "public.payments"],
          ["sql.call", "public.f"],
        ] as const) {
          expect(texts).toContain(
            `the role \`read\` does not say \`${action}\`, but its native roles can do that on \`${object}\``,
          );
        }
        await resource.su(`revoke insert, trigger on payments from ${resource.reader}; drop function f()`);
        expect((await provider.inspect(signal())).missing).toEqual([]);
      });
    });

    describe("what a key leaves behind", () => {
      /** A key that may create things, as everybody may in `room`; a test that succeeds drops that schema. */
      const creator = async (): Promise<{ name: string; run: (sql: string) => Promise<unknown> }> => {
        const order = resource.order("read");
        const login = await provider.create(order, signal());
        // After the issue, where on 15 it would have made the role unsafe.
        await resource.su("create schema if not exists room; grant create, usage on schema room to public");
        const client = await resource.client(login);
        return { name: order.nativeName, run: (sql) => client.query(sql) };
      };
      const owner = async (sql: string): Promise<unknown> =>
        (await resource.su(`select (${sql})::regrole::text as owner`))[0]?.["owner"];

      test("goes to a holder without privileges, never to the administrator; all of it is misuse", async () => {
        const { name, run } = await creator();
        await run(`create table room.kept (i serial primary key); create view room.seen as select * from orders;
          create function room.plain() returns int language sql as 'select 1'; create type room.pair as (a int, b int); create sequence room.numbers;
          alter default privileges in schema room grant select on tables to public; grant select on room.kept to ${resource.reader}`);
        await run("select lo_create(4242)");
        const { misuse } = await provider.end(name, signal());
        expect(misuse.join("\n")).toContain("`table room.kept`");
        expect(misuse.join("\n")).toMatch(/large object 4242/);
        const holder = holderName(resource.markKey);
        for (const what of [
          "select relowner from pg_class where oid = 'room.kept'::regclass",
          "select relowner from pg_class where oid = 'room.seen'::regclass",
          "select proowner from pg_proc where oid = 'room.plain'::regproc",
          "select typowner from pg_type where oid = 'room.pair'::regtype",
          "select lomowner from pg_largeobject_metadata where oid = 4242",
        ]) {
          expect(await owner(what), what).toBe(holder);
        }
        expect(await resource.su(`select rolcanlogin, rolsuper from pg_roles where rolname = '${holder}'`)).toEqual([
          { rolcanlogin: false, rolsuper: false },
        ]);
        expect(await resource.su(`select from pg_auth_members m where m.member = '${holder}'::regrole`)).toEqual([]);
        expect(await resource.su("select from pg_default_acl")).toEqual([]);
        // A view runs with its owner's privileges, of which there are none now.
        await expect(resource.su("select * from room.seen")).rejects.toMatchObject({ code: "42501" });
        expect((await provider.listOwn(signal())).ours).toMatchObject([{ nativeName: holder, what: "holder" }]);
        await resource.su("drop schema room cascade; select lo_unlink(4242)");
        await provider.listOwn(signal());
        expect(await resource.marked()).toEqual([]);
      });

      test("functions with SECURITY DEFINER are dropped; one that others depend on runs as its caller", async () => {
        const { name, run } = await creator();
        await run(`create function room.thief() returns text language sql security definer as 'select current_user::text';
          create function room."Odd ""name"""(text, int) returns text language sql security definer as 'select current_user::text';
          create function room.used() returns text language sql security definer as 'select current_user::text'`);
        await resource.su(`create view public.uses as select room.used() as who`);
        await provider.end(name, signal());
        expect(
          await resource.su("select proname, prosecdef from pg_proc where pronamespace = 'room'::regnamespace"),
        ).toEqual([{ proname: "used", prosecdef: false }]);
        expect(await resource.su("select room.used() as who")).toEqual([{ who: "postgres" }]);
        await resource.su("drop schema room cascade");
      });

      test("created through its role: what the role may do is lent to the holder while it takes over", async () => {
        const order = resource.order("read");
        const client = await resource.client(await provider.create(order, signal()));
        await resource.su(`create schema room; grant create, usage on schema room to ${resource.reader}`);
        await client.query(
          "create function room.plain() returns int language sql as 'select 1'; create table room.kept (i int)",
        );
        await provider.end(order.nativeName, signal());
        const holder = holderName(resource.markKey);
        expect(await owner("select proowner from pg_proc where oid = 'room.plain'::regproc")).toBe(holder);
        expect(await resource.su(`select from pg_auth_members where member = '${holder}'::regrole`)).toEqual([]);
        await resource.su("drop schema room cascade");
      });

      test("where the holder may not take over, it is stuck, named, until somebody makes room", async () => {
        const order = resource.order("write");
        const client = await resource.client(await provider.create(order, signal()));
        await resource.su(`create schema room; grant create, usage on schema room to ${order.nativeName}`);
        await client.query("create function room.plain() returns int language sql as 'select 1'");
        await resource.su(`revoke all on schema room from ${order.nativeName}`);
        await expect(provider.end(order.nativeName, signal())).rejects.toMatchObject({
          code: "lease_stuck",
          message: expect.stringContaining("`function room.plain()`") as string,
        });
        await resource.su("drop function room.plain()");
        await provider.end(order.nativeName, signal());
        await resource.su("drop schema room");
      });

      test("in another database, in one that the resource does not name, and granted onward", async () => {
        const { name } = await creator();
        const elsewhere = `elsewhere_${name.slice(7, 17)}`;
        await resource.su(`create database ${elsewhere}`, "postgres");
        await resource.su(
          `create table theirs (i int); alter table theirs owner to ${name}; set role ${name}; grant select on theirs to ${resource.reader} with grant option; reset role`,
          elsewhere,
        );
        await resource.su(`create table mine (i int); alter table mine owner to ${name}`, resource.databases[1]);
        const { misuse } = await provider.end(name, signal());
        expect(misuse.join("\n")).toContain(`it left \`table public.theirs\` in \`${elsewhere}\``);
        expect(misuse.join("\n")).toContain(`it left \`table public.mine\` in \`${resource.databases[1] ?? ""}\``);
        const holder = holderName(resource.markKey);
        expect(
          await resource.su(
            "select relowner::regrole::text as owner, relacl::text from pg_class where relname = 'theirs'",
            elsewhere,
          ),
        ).toEqual([{ owner: holder, relacl: expect.not.stringContaining(name) as string }]);
        await resource.su("drop table mine", resource.databases[1]);
        await resource.su("drop schema room");
        await resource.su("drop table theirs", elsewhere);
        await provider.listOwn(signal());
        // Ended before the database, so that no connection of the provider's is in the way.
        await resource.su(`drop database ${elsewhere} with (force)`, "postgres");
        expect(await resource.marked()).toEqual([]);
      });

      test("a prepared transaction is rolled back", async () => {
        const { name, run } = await creator();
        await run("begin; create table room.limbo (i int); prepare transaction 'it''s'");
        const { misuse } = await provider.end(name, signal());
        expect(misuse).toContain(`the login left the prepared transaction \`it's\` in \`${database()}\``);
        expect(await resource.su("select gid from pg_prepared_xacts")).toEqual([]);
        await resource.su("drop schema room");
      });

      test("what cannot be taken away makes it stuck, named; once it is gone the end succeeds", async () => {
        const { name } = await creator();
        await resource.su(`grant select on orders to ${name} with grant option`);
        const stuck = provider.end(name, signal());
        await expect(stuck).rejects.toMatchObject({
          code: "lease_stuck",
          message: expect.stringContaining("privileges for table public.orders") as string,
        });
        // Stuck, but shut.
        expect(await resource.su(`select rolcanlogin from pg_roles where rolname = '${name}'`)).toEqual([
          { rolcanlogin: false },
        ]);
        await resource.su(`revoke all on orders from ${name} cascade`);
        await provider.end(name, signal());
        expect((await resource.marked()).includes(name)).toBe(false);
        await resource.su("drop schema room");
      });

      test("one stuck login does not keep others that end at the same time", async () => {
        const orders = Array.from({ length: 12 }, () => resource.order("read"));
        await Promise.all(orders.map((order) => provider.create(order, signal())));
        const stuck = orders[5]?.nativeName ?? "";
        await resource.su(`grant select on orders to ${stuck}`);
        const ends = await Promise.allSettled(orders.map((order) => provider.end(order.nativeName, signal())));
        expect(ends.map(({ status }) => status)).toEqual(
          orders.map((order) => (order.nativeName === stuck ? "rejected" : "fulfilled")),
        );
        await resource.su(`revoke select on orders from ${stuck}`);
        await provider.end(stuck, signal());
      });

      if (version === 15)
        test("on a bundle (15: a member can become it): found at every end, moved, and the bundle goes on", async () => {
          const one = resource.order("everything");
          const two = resource.order("everything");
          const client = await resource.client(await provider.create(one, signal()));
          const other = await resource.client(await provider.create(two, signal()));
          const [bundle] = (await provider.listOwn(signal())).ours.filter(({ what }) => what === "bundle");
          const name = bundle?.nativeName ?? "";
          await client.query(`set role ${name}`);
          await client.query("select lo_create(777)");
          await client.query("alter default privileges grant select on tables to public");
          const { misuse } = await provider.end(one.nativeName, signal());
          expect(misuse.join("\n")).toMatch(new RegExp(`\`${name}\` was found owning .*large object 777`));
          expect(
            await resource.su(`select from pg_shdepend where refobjid = '${name}'::regrole and deptype = 'o'`),
          ).toEqual([]);
          expect(await owner("select lomowner from pg_largeobject_metadata where oid = 777")).toBe(
            holderName(resource.markKey),
          );
          await other.query("insert into payments (cents) values (1)");

          // While a bundle owns something no key is made with it; the refusal clears it, so that the next one is.
          await other.query(`set role ${name}`);
          await other.query("select lo_create(778)");
          await expect(provider.create(one, signal())).rejects.toMatchObject({ code: "resource_role_unsafe" });
          expect(resource.warnings).toContain("traces of misuse were found while a login was taken back");
          await provider.create(one, signal());
          for (const { nativeName } of [one, two]) await provider.end(nativeName, signal());
          await resource.su("select lo_unlink(777), lo_unlink(778)");
        });

      if (version === 15)
        test("PUBLIC's CREATE makes every role unsafe on 15, where a member could create as the role", async () => {
          await resource.su("grant create on schema public to public");
          const { roles, warnings } = await provider.inspect(signal());
          expect(roles["read"]?.vias).toEqual(["gateway"]);
          expect(warnings.join("\n")).toMatch(/every login may create in the schemas `public`/);
          await expect(provider.create(resource.order("write"), signal())).rejects.toMatchObject({
            code: "resource_role_unsafe",
          });
          await resource.su("revoke create on schema public from public");
        });
    });

    describe("what PUBLIC gives", () => {
      test("is inventoried: TEMP, CONNECT, functions, tables, and the same twice", async () => {
        await resource.su(`create table open_to_all (i int); grant select, update on open_to_all to public;
          create function danger() returns int language sql security definer as 'select 1'`);
        const first = await provider.inspect(signal());
        const second = await provider.inspect(signal());
        expect(second.publicPrivileges).toEqual(first.publicPrivileges);
        expect(first.publicPrivileges).toMatchObject({
          connect: expect.arrayContaining([...resource.databases, "postgres"]) as string[],
          databases: [
            {
              database: database(),
              temporaryTables: true,
              create: false,
              schemas: { usage: ["public"], create: [] },
              relations: { "public.open_to_all": ["select", "update"] },
              functions: { public: 1 },
              definerFunctions: ["public.danger()"],
              languages: ["plpgsql", "sql"],
            },
            { database: resource.databases[1] },
          ],
        });
        expect(JSON.stringify(first.publicPrivileges)).toMatch(/"systemFunctions":3?[0-9]{3,4}/);
        expect(first.warnings.join("\n")).toContain(
          `every login may call 1 functions of \`${database()}\` that run with their owner's rights`,
        );
        const { summary } = PublicPrivileges.parse(first.publicPrivileges);
        expect(summary).toEqual(
          expect.arrayContaining([
            expect.stringMatching(/^connect to the databases .*`postgres`/),
            `make temporary tables in \`${database()}\``,
            `use the schemas \`public\` of \`${database()}\``,
            `select on \`public.open_to_all\` of \`${database()}\``,
            `update on \`public.open_to_all\` of \`${database()}\``,
            `call, with their owner's rights, the functions \`public.danger()\` of \`${database()}\``,
            expect.stringMatching(/^call 3?[0-9]{3,4} functions of the system and 1 others of /),
            `write functions in \`plpgsql\`, \`sql\` in \`${database()}\`, where they may create any`,
          ]),
        );
        expect(summary.join("\n")).not.toMatch(/create (schemas )?in/);
        await resource.su("drop table open_to_all; drop function danger()");
      });

      test("the server's clock far from ours is said", async () => {
        const late = await testResource(cluster, { clock: { now: () => new Date().getTime() - 3_600_000 } });
        const { warnings } = await late.open().inspect(signal());
        expect(warnings.join("\n")).toContain("the server's clock is 3600 s ahead of ours");
        await late.close();
      });
    });
  });
}
