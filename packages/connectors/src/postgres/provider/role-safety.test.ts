import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import { toHex } from "@cardea/core/lib/hex";
import type { Provider } from "../../connector.ts";
import { systemRandom } from "../fixture/system.ts";
import { testResource, type TestResource } from "../fixture/resource.ts";
import type { RoleConfig } from "../spec/config.ts";
import { rolePatterns } from "../spec/roles.ts";
import { quoteIdent } from "./quoting.ts";

const signal = (): AbortSignal => AbortSignal.timeout(20_000);

for (const version of testVersions) {
  const available = await testServer(version);

  describe.skipIf(!available)(
    `a grant is the scope plus PUBLIC, never more databases, on postgresql ${version}`,
    () => {
      let cluster: TestCluster;
      let resource: TestResource;
      /** The test's own native role, and the database that the resource does not name. */
      let role: string;
      let hr: string;

      beforeAll(async () => {
        cluster = await startTestCluster({ version });
        resource = await testResource(cluster, { databases: 2 });
        hr = `hr "of' ${resource.admin}`;
        await resource.su(`create database ${quoteIdent(hr)}`);
        await resource.su("create table salaries (cents int); insert into salaries values (1)", hr);
      });
      beforeEach(async () => {
        role = `ro_${toHex(systemRandom.bytes(4))}`;
        await resource.su(`create role ${role} nologin; grant ${role} to ${resource.admin} with admin option`);
        for (const database of resource.databases) await resource.su(`grant select on orders to ${role}`, database);
      });
      afterAll(async () => {
        await resource.close();
        await cluster.stop();
      });

      const tested = (): RoleConfig => ({ member: [role], actions: ["sql.*"] });

      /** The resource with the role `tested`, and with more databases than it names otherwise. */
      const openWith = (...more: readonly string[]): Provider =>
        resource.open((config) => ({
          ...config,
          connect: { ...config.connect, databases: [...config.connect.databases, ...more] },
          roles: { tested: tested() },
        }));

      /** Makes a key of the role and looks with it into the other database; `undefined` where that is allowed. */
      const lookElsewhere = async (provider: Provider, ...more: readonly string[]): Promise<unknown> => {
        const patterns = rolePatterns(tested(), [...resource.databases, ...more]);
        const order = resource.order("tested", { patterns });
        const client = await resource.client(await provider.create(order, signal()), hr);
        const refusal: unknown = await client.query("select * from salaries").then(
          () => undefined,
          (error: unknown) => error,
        );
        await provider.end(order.nativeName, signal());
        return refusal;
      };

      /** That the role is not offered directly at registration and refused at issue, both for the same reason. */
      const expectRefused = async (provider: Provider, why: string): Promise<void> => {
        const { roles, warnings, offers } = await provider.inspect(signal());
        expect(Object.values(roles).map(({ vias }) => vias)).toEqual([["gateway"]]);
        expect(warnings.find((warning) => warning.includes("cannot be given to direct keys"))).toContain(why);
        expect(offers.find((offer) => offer.nativeRole === role)).toMatchObject({
          safeForDirect: false,
          why: expect.stringContaining(why) as string,
        });
        await expect(lookElsewhere(provider)).rejects.toMatchObject({
          code: "resource_role_unsafe",
          message: expect.stringContaining(why) as string,
        });
        expect(await resource.logins()).toEqual([]);
      };

      const elsewhere = (): string => `it has privileges in database \`${hr}\`: list that database or take them away`;

      const privileges: readonly (readonly [
        name: string,
        give: (role: string) => string,
        take: (role: string) => string,
      ])[] = [
        ["a table", (to) => `grant select on salaries to ${to}`, (from) => `revoke select on salaries from ${from}`],
        [
          "a column",
          (to) => `grant update (cents) on salaries to ${to}`,
          (from) => `revoke update (cents) on salaries from ${from}`,
        ],
        [
          "tables that are yet to come",
          (to) => `alter default privileges grant select on tables to ${to}`,
          (from) => `alter default privileges revoke select on tables from ${from}`,
        ],
        [
          "a table, through a role that it is a member of",
          (to) => `create role over_${to} nologin; grant over_${to} to ${to}; grant select on salaries to over_${to}`,
          (from) => `drop owned by over_${from}; drop role over_${from}`,
        ],
        [
          "a table that it owns",
          (to) => `create table of_${to} (); alter table of_${to} owner to ${to}`,
          (from) => `drop table of_${from}`,
        ],
      ];

      test.each(privileges)("in a database that is not named: %s", async (_name, give, take) => {
        const provider = openWith();
        expect(Object.keys((await provider.inspect(signal())).roles)).toEqual(["tested"]);
        expect(await lookElsewhere(provider)).toMatchObject({ code: "42501" });

        await resource.su(give(role), hr);
        await expectRefused(provider, elsewhere());

        await resource.su(take(role), hr);
        expect(Object.keys((await provider.inspect(signal())).roles)).toEqual(["tested"]);
        expect(await lookElsewhere(provider)).toMatchObject({ code: "42501" });
      });

      test("once the database is named, the role may be given", async () => {
        await resource.su(`grant select on salaries to ${role}`, hr);
        await expectRefused(openWith(), elsewhere());
        const wider = openWith(hr);
        expect((await wider.inspect(signal())).roles["tested"]?.patterns).toEqual(
          rolePatterns(tested(), [...resource.databases, hr]),
        );
        expect(await lookElsewhere(wider, hr)).toBeUndefined();
      });

      test("connecting: what everybody may is a warning, what only the role may is refused", async () => {
        const provider = openWith();
        await resource.su(`grant connect on database ${quoteIdent(hr)} to ${role}`);
        const open = await provider.inspect(signal());
        expect(Object.keys(open.roles)).toEqual(["tested"]);
        const warned = open.warnings.find((warning) => warning.includes("may connect to databases"));
        expect(warned).toContain(`\`${hr}\``);
        for (const database of resource.databases) expect(warned).not.toContain(database);

        await resource.su(`revoke connect on database ${quoteIdent(hr)} from public`);
        await expectRefused(provider, elsewhere());
        await resource.su(`grant connect on database ${quoteIdent(hr)} to public`);
      });

      test("a bundle that somebody gave privileges in a database that is not named is not used", async () => {
        const provider = resource.open();
        const order = resource.order("write");
        await provider.create(order, signal());
        await resource.su(
          `do $$ declare b text; begin for b in select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid
           where m.member = '${order.nativeName}'::regrole loop execute format('grant select on salaries to %I', b); end loop; end $$`,
          hr,
        );
        await expect(provider.create(resource.order("write"), signal())).rejects.toMatchObject({
          code: "resource_role_unsafe",
          message: expect.stringContaining(elsewhere()) as string,
        });
        await provider.end(order.nativeName, signal());
        await resource.su(
          `do $$ declare b text; begin for b in select rolname from pg_roles where rolname like 'cardea\\_%' loop
        execute format('revoke all on salaries from %I', b); end loop; end $$`,
          hr,
        );
      });

      test("no predefined role is given, each for a reason", async () => {
        const names = (await resource.su(`select rolname from pg_roles where rolname ~ '^pg_' order by 1`))
          .map((row) => String(row["rolname"]))
          // The server lets it have no members.
          .filter((name) => name !== "pg_database_owner");
        expect(names).toContain("pg_read_all_data");
        const provider = openWith();
        for (const name of names) {
          await resource.su(`grant ${name} to ${role}`);
          const { roles, offers } = await provider.inspect(signal());
          expect(
            Object.values(roles).map(({ vias }) => vias),
            name,
          ).toEqual([["gateway"]]);
          const why = offers.find((offer) => offer.nativeRole === role)?.why;
          expect(why).toContain(`it is a member of \`${name}\`, which `);
          expect(why).not.toContain("newer than Cardea knows");
          await resource.su(`revoke ${name} from ${role}`);
        }
        await resource.su(`grant pg_read_all_data to ${role}`);
        await expectRefused(provider, "`pg_read_all_data`, which reads every table of every database");
        // Behind a gateway each statement is judged.
        const patterns = (await provider.inspect(signal())).roles["tested"]?.patterns ?? [];
        const behind = resource.order("tested", { patterns, via: "gateway" });
        expect((await provider.create(behind, signal())).user).toBe(behind.nativeName);
        await provider.end(behind.nativeName, signal());
        // The administrator inherits it too.
        await resource.su(`revoke pg_read_all_data from ${role}`);
      });

      test("a parameter of the server is more than a database", async () => {
        await resource.su(`grant alter system on parameter archive_command to ${role}`);
        await expectRefused(openWith(), "it can set the server's parameters `archive_command`");
      });

      test("an administrator that cannot see verifiers is told that password changes go unnoticed", async () => {
        const warned = async (): Promise<boolean> =>
          (await openWith().inspect(signal())).warnings.some((warning) => warning.includes("pg_authid"));
        expect(await warned()).toBe(true);
        await resource.su(`grant select on pg_authid to ${resource.admin}`);
        expect(await warned()).toBe(false);
      });
    },
  );
}
