import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import { plainText } from "@cardea/core/documents/primitives";
import { formatTableName } from "../spec/table-name.ts";
import { rolePatterns } from "../spec/roles.ts";
import { testResource, type TestResource } from "../fixture/resource.ts";
import { quoteIdent, quoteLiteral } from "./quoting.ts";

const signal = (): AbortSignal => AbortSignal.timeout(30_000);

/** Names that PostgreSQL accepts; the last two are of exactly 63 bytes. */
const names = [
  "Mixed Case",
  `quo"te`,
  `"; drop role postgres; --`,
  "it's",
  "back\\slash",
  "$$dollar$$",
  "new\nline",
  "%I%s%L",
  "żółć_naïve",
  "日本語",
  "rtl\u202eevil",
  "*",
  "a.b",
  "select",
  "x".repeat(63),
  "é".repeat(31) + "e",
];

for (const version of testVersions) {
  const available = await testServer(version);

  describe.skipIf(!available)(`names of all kinds on postgresql ${version}`, () => {
    let cluster: TestCluster;
    let resource: TestResource;

    beforeAll(async () => {
      cluster = await startTestCluster({ version });
      resource = await testResource(cluster);
    });
    afterAll(async () => {
      await resource.close();
      await cluster.stop();
    });

    test.each(names)("quoted names and values come back as they were: %j", async (name) => {
      expect(await resource.su(`select 1 as ${quoteIdent(name)}, ${quoteLiteral(name)} as v`)).toEqual([
        { [name]: 1, v: name },
      ]);
      for (const setting of ["on", "off"]) {
        const [row] = await resource.su(
          `set standard_conforming_strings = ${setting}; set escape_string_warning = off; select ${quoteLiteral(name)} as v`,
        );
        expect(row).toEqual({ v: name });
      }
      await resource.su("reset standard_conforming_strings");
    });

    /** Fewer, each of several kinds: a database takes a while. */
    const whole = [
      `"; drop role postgres; --`,
      `it's quo"te back\\slash %I`,
      "new\nline rtl\u202e",
      "日本語 $$x$$",
      "*",
      "a.b",
      "é".repeat(31) + "e",
    ];

    test("a database, schemas, tables, columns, native roles and an administrator of such names", async () => {
      for (const name of whole) {
        const q = quoteIdent(name);
        const long = Buffer.byteLength(name) > 60;
        const admin = long ? "adm" : `${name}!`;
        const member = long ? "mem" : `${name}?`;
        await resource.su(
          `create role ${quoteIdent(admin)} login createrole password 'pw'; grant pg_signal_backend to ${quoteIdent(admin)}; create role ${quoteIdent(member)};
           grant ${quoteIdent(member)} to ${quoteIdent(admin)} with admin option`,
          "postgres",
        );
        await resource.su(`create database ${q}`, "postgres");
        await resource.su(
          `create schema ${q}; create table ${q}.${q} (${q} text, id serial); grant usage on schema ${q} to ${quoteIdent(admin)} with grant option;
           grant select, insert, update on ${q}.${q} to ${quoteIdent(admin)} with grant option;
           grant usage on all sequences in schema ${q} to ${quoteIdent(admin)} with grant option`,
          name,
        );
        const table = formatTableName({ schema: name, table: name });
        const column = `"${name.replaceAll('"', '""')}"`;
        const roles = {
          exact: { grant: [{ tables: [table], privileges: ["select", "insert", `update(${column})`] }] },
          all: { grant: [{ tables: [formatTableName({ schema: name, table: undefined })], privileges: ["select"] }] },
          native: { member: [member], actions: ["sql.*"] },
        };
        const provider = resource.open((config) => ({
          ...config,
          connect: { ...config.connect, databases: [name], user: admin, password: { value: "pw" } },
          roles,
        }));
        const { missing, warnings, roles: compiled } = await provider.inspect(signal());
        expect(missing, name).toEqual([]);
        for (const warning of warnings) expect(plainText(1_000).safeParse(warning).success).toBe(true);
        for (const [role, configured] of Object.entries(roles)) {
          const patterns = rolePatterns(configured, [name]);
          expect(compiled[role]?.patterns).toEqual(patterns);
          const order = resource.order(role, { patterns });
          const login = await provider.create(order, signal());
          const client = await resource.client(login, name);
          if (role === "exact")
            await client.query(
              `insert into ${q}.${q} (${q}) values ('x'); update ${q}.${q} set ${q} = 'y'; select * from ${q}.${q}`,
            );
          if (role === "all") await client.query(`select * from ${q}.${q}`);
          expect(await provider.end(order.nativeName, signal()), name).toEqual({ closedSessions: 1, misuse: [] });
        }
        // What such a name leaves behind is taken away too.
        const order = resource.order("native", { patterns: rolePatterns(roles.native, [name]) });
        await provider.create(order, signal());
        await resource.su(
          `create table ${q}.left_behind (i int); alter table ${q}.left_behind owner to ${order.nativeName}`,
          name,
        );
        expect((await provider.end(order.nativeName, signal())).misuse).toHaveLength(1);
        await resource.su(`drop table ${q}.left_behind`, name);
        await provider.listOwn(signal());
        expect(await resource.marked(), name).toEqual([]);
        await provider.close();
        await resource.su(`drop owned by ${quoteIdent(admin)}, ${quoteIdent(member)} cascade`, name);
        await resource.su(`drop role ${quoteIdent(admin)}, ${quoteIdent(member)}`, "postgres");
      }
    }, 120_000);

    test("what cannot be given is named in text that a terminal shows as it is", async () => {
      await resource.su(`create table "evil\u202e\n\u001b[2J" (i int)`);
      const provider = resource.open((config) => ({
        ...config,
        roles: {
          evil: {
            grant: [
              {
                tables: [formatTableName({ schema: "public", table: "evil\u202e\n\u001b[2J" })],
                privileges: ["delete"],
              },
            ],
          },
        },
      }));
      const { missing } = await provider.inspect(signal());
      expect(missing).toHaveLength(1);
      expect(missing[0]?.what).toContain("evil\\u202e");
      expect(plainText(500).safeParse(missing[0]?.what).success).toBe(true);
      await resource.su(`do $do$ begin execute ${quoteLiteral(missing[0]?.fix ?? "")}; end $do$`);
      expect((await provider.inspect(signal())).missing).toEqual([]);
    });
  });
}
