/** pgbench through the gateway: its own scripts in every protocol mode, with a key that may, and with one that only reads. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testServer, testVersions } from "../cluster.ts";
import { hasProgram, startGround, type Ground } from "./ground.ts";

const there = await hasProgram("pgbench");

for (const version of testVersions) {
  describe.skipIf(!there || !(await testServer(version)))(`pgbench at postgresql ${version}`, () => {
    let ground: Ground;
    beforeAll(async () => {
      // As `pgbench --initialize` makes them, which no key of ours may.
      ground = await startGround(
        version,
        `create table pgbench_branches (bid int primary key, bbalance int, filler char(88));
         create table pgbench_tellers (tid int primary key, bid int, tbalance int, filler char(84));
         create table pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84));
         create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
         insert into pgbench_branches values (1, 0);
         insert into pgbench_tellers select n, 1, 0 from generate_series(1, 10) as n;
         insert into pgbench_accounts select n, 1, 0 from generate_series(1, 100000) as n;`,
      );
    }, 60_000);
    afterAll(() => ground[Symbol.asyncDispose]());

    const modes = ["simple", "extended", "prepared"] as const;

    test.each(modes)(
      "runs its transactions in mode %s",
      async (mode) => {
        const key = await ground.key("everything");
        const args = ["--protocol", mode, "--no-vacuum", "--client", "4", "--jobs", "2", "--transactions", "50"];
        const { code, out, err } = await ground.run(key, "pgbench", args);
        expect({ code, err }, out).toMatchObject({ code: 0 });
        expect(out).toContain("number of transactions actually processed: 200/200");
        expect(out).toContain("number of failed transactions: 0");
      },
      60_000,
    );

    test.each(modes)(
      "reads in mode %s, its vacuuming refused and passed over",
      async (mode) => {
        const key = await ground.key("read");
        const args = ["--select-only", "--protocol", mode, "--client", "4", "--transactions", "100"];
        const { code, out, err } = await ground.run(key, "pgbench", args);
        expect({ code }, out + err).toEqual({ code: 0 });
        expect(out).toContain("number of transactions actually processed: 400/400");
        expect(err).toContain("ignoring this error and continuing anyway");
      },
      60_000,
    );

    test("is refused what the key does not cover, and what it changed adds up", async () => {
      const key = await ground.key("read");
      const { code, err } = await ground.run(key, "pgbench", ["--no-vacuum", "--transactions", "1"]);
      expect(code).toBe(2);
      expect(err).toContain("ERROR:");
      expect(
        await ground.resource.su(
          "select (select sum(delta) from pgbench_history) = (select sum(abalance) from pgbench_accounts) as same, (select count(*)::int from pgbench_history) as n",
        ),
      ).toEqual([{ same: true, n: 600 }]);
    }, 60_000);

    test("cannot make its own tables", async () => {
      const key = await ground.key("everything");
      const { code, err } = await ground.run(key, "pgbench", ["--initialize"]);
      expect(code).not.toBe(0);
      expect(err).toContain("ERROR:");
    }, 60_000);
  });
}
