/** psql, as it is installed here, through the gateway: what it says is what it says without one. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { TerminalProgram } from "@cardea/server/demo/terminal";
import { testServer, testVersions } from "../cluster.ts";
import { hasProgram, startGround, type Ground } from "./ground.ts";

const run = promisify(execFile);
const there = await hasProgram("psql");

/** What describes the database and does not depend on who looks. */
const describing = String.raw`
\d
\d orders
\d+ orders
\d orders_id_seq
\d orders_by_status
\d paid
\d+ paid
\d lines
\d nothing_of_this_name
\dt
\dt+ public.*
\dv
\di
\ds
\dn
\dn+
\df
\df+ add
\sf add
\sv paid
\dT
\dT+ mood
\do
\da
\dx
\dp
\ddp
\db
\dc
\dC
\dL
\dO
\dF
\dd
\z orders
\x on
\d numbers
select * from orders order by id;
`.trim();

for (const version of testVersions) {
  const skipped = !there || !(await testServer(version));
  describe.skipIf(skipped)(`psql at postgresql ${version}`, () => {
    let ground: Ground;
    let reading: DeliveredKey;
    beforeAll(async () => {
      ground = await startGround(version);
      reading = await ground.key();
    }, 60_000);
    afterAll(() => ground[Symbol.asyncDispose]());

    const through = (script: string, ...args: readonly string[]) =>
      ground.run(reading, "psql", ["--no-psqlrc", "--pset=pager=off", ...args], script);
    const directly = async (script: string) => {
      const psql = run("psql", ["--no-psqlrc", "--pset=pager=off", ground.url], {
        env: { ...process.env, LC_ALL: "C" },
      });
      psql.child.stdin?.end(script);
      const { stdout, stderr } = await psql;
      return { code: 0, out: stdout, err: stderr };
    };

    test("says of the database what it says without a gateway", async () => {
      expect(await through(describing)).toEqual(await directly(describing));
    }, 60_000);

    test.each(["\\l", "\\l+", "\\du", "\\du+", "\\dg", "\\drds", "\\conninfo", "\\encoding", "\\dconfig *_path"])(
      "has %s",
      async (command) => {
        // What it shows depends on who looks; what it complains about does not.
        const { code, err } = await through(command);
        expect({ code, err }).toEqual({ code: 0, err: (await directly(command)).err });
      },
      60_000,
    );

    test("measures, formats, keeps variables, repeats and reads files of statements", async () => {
      const script = String.raw`
\timing on
select 1 as one \gset
\echo got :one
select 'select ' || n from numbers where n < 3 order by n \gexec
\pset format csv
select id, status from orders order by id;
\pset format unaligned
select status from orders where id = :'one' \g
`;
      const { code, out, err } = await through(script, "--single-transaction");
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toContain("got 1");
      expect(out).toContain("id,status\n1,new\n2,paid\n3,sent\n");
      expect(out).toMatch(/Time: [0-9.]+ ms/);
    }, 60_000);

    test("copies out as it may, is refused what it may not, and goes on", async () => {
      const script = String.raw`
\copy (select n from numbers where n <= 3 order by n) to stdout
\copy orders to program 'wc -l'
\copy orders (status) from program 'echo mine'
copy orders to '/tmp/somewhere';
select 'still';
`;
      const { code, out, err } = await through(script, "--tuples-only", "--no-align");
      expect({ code, out: out.split("\n").slice(0, 3) }).toEqual({ code: 0, out: ["1", "2", "3"] });
      expect(out.trim().endsWith("still")).toBe(true);
      expect(err.match(/^ERROR:/gm)).toHaveLength(2);
      expect(await ground.resource.su("select count(*)::int as n from orders")).toEqual([{ n: 3 }]);
    }, 60_000);

    test("copies in, with a key that may", async () => {
      const key = await ground.key("everything");
      const args = ["--no-psqlrc", "-c", String.raw`\copy payments (order_id, cents) from stdin`];
      const lines = Array.from({ length: 50_000 }, (_, n) => `${n}\t${n * 2}`).join("\n");
      expect(await ground.run(key, "psql", args, `${lines}\n\\.\n`)).toEqual({ code: 0, out: "COPY 50000\n", err: "" });
      expect(await ground.resource.su("select count(*)::int as n, sum(cents)::text as sum from payments")).toEqual([
        { n: 50_000, sum: "2499950000" },
      ]);
    }, 60_000);

    test("keeps a transaction through an error by its savepoints", async () => {
      const { code, out, err } = await through(
        "begin;\nselect 1;\nselect nothing_of_this_name;\nselect 2;\nupdate orders set status = 'x';\nselect 3;\ncommit;\n",
        "--tuples-only",
        "--no-align",
        "--variable=ON_ERROR_ROLLBACK=on",
      );
      expect({ code, out }).toEqual({ code: 0, out: "BEGIN\n1\n2\n3\nCOMMIT\n" });
      expect(err.match(/^ERROR:/gm)).toHaveLength(2);
    }, 60_000);

    test("stops at the first error, with its exit code", async () => {
      const { code, out, err } = await through(
        "update orders set status = 'x';\nselect 1;\n",
        "--variable=ON_ERROR_STOP=1",
      );
      expect({ code, out }).toEqual({ code: 3, out: "" });
      expect(err).toMatch(/^ERROR: {2}.*/);
    }, 60_000);
  });

  describe.skipIf(skipped || (await TerminalProgram.lacks("psql")) !== undefined)(
    `psql in a terminal at postgresql ${version}`,
    () => {
      let ground: Ground;
      beforeAll(async () => {
        ground = await startGround(version);
      }, 60_000);
      afterAll(() => ground[Symbol.asyncDispose]());

      const open = async (): Promise<TerminalProgram> => {
        const env = { ...ground.environment(await ground.key()), TERM: "xterm", INPUTRC: "/dev/null" };
        const psql = TerminalProgram.open("psql --no-psqlrc --pset=pager=off --set=HISTFILE=/dev/null", env);
        await psql.sees(/=> /);
        return psql;
      };

      test("completes names of tables and columns", async () => {
        await using psql = await open();
        psql.press("select status from ord\t");
        await psql.sees(/from ord.*ers/);
        psql.press("\u0015\\d num\t\r");
        await psql.sees(/words/);
      }, 60_000);

      test("cancels a statement on Ctrl-C, and goes on", async () => {
        await using psql = await open();
        psql.type("select count(*) from numbers a, numbers b, numbers c;");
        await new Promise((done) => setTimeout(done, 500));
        psql.press("\u0003");
        await psql.sees(/canceling statement due to user request/);
        psql.type("select 6 * 7 as answer;");
        await psql.sees(/42/);
      }, 60_000);
    },
  );
}
