/** pg_dump through the gateway: a key that reads everything in a schema dumps it, and what comes out makes the same again. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, type TestCluster } from "../cluster.ts";
import { hasProgram, startGround, type Ground } from "./ground.ts";

const run = promisify(execFile);
const there = (await hasProgram("pg_dump")) && (await hasProgram("psql"));

// pg_dump refuses servers newer than itself, and Debian's is of 15.
describe.skipIf(!there || !(await testServer(15)))("pg_dump", () => {
  let ground: Ground;
  let elsewhere: TestCluster;
  beforeAll(async () => {
    [ground, elsewhere] = await Promise.all([startGround(15), startTestCluster({ version: 15 })]);
    // Sequences have values of their own, which a dump reads.
    await ground.resource.su(`grant select on all sequences in schema public to ${ground.resource.reader}`);
  }, 60_000);
  afterAll(async () => {
    await ground[Symbol.asyncDispose]();
    await elsewhere.stop();
  });

  const dump = async (...args: readonly string[]) => ground.run(await ground.key(), "pg_dump", args);

  test("of a table is what it is without a gateway", async () => {
    const directly = await run("pg_dump", ["--table=numbers", ground.url], { maxBuffer: 64 * 1024 * 1024 });
    const { code, out, err } = await dump("--table=numbers");
    expect({ code, err, out: withoutNonce(out) }).toEqual({ code: 0, err: "", out: withoutNonce(directly.stdout) });
  }, 60_000);

  test("of the whole schema makes the same again", async () => {
    const { code, out, err } = await dump("--schema=public", "--no-owner", "--no-privileges", "--clean", "--if-exists");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const database = await elsewhere.createDatabase();
    const restore = run("psql", ["--no-psqlrc", "--quiet", "--variable=ON_ERROR_STOP=1", database.url]);
    restore.child.stdin?.end(out);
    await restore;
    const count = run("psql", ["-Atc", "select count(*), sum(n) from numbers", database.url]);
    expect((await count).stdout.trim()).toBe("20000|200010000");
  }, 60_000);

  test("in the custom format, its data only, and in inserts", async () => {
    for (const args of [
      ["--format=custom"],
      ["--data-only"],
      ["--schema-only"],
      ["--inserts", "--rows-per-insert=500"],
    ])
      expect(await dump("--table=numbers", ...args)).toMatchObject({ code: 0, err: "" });
  }, 60_000);

  test("of what the key does not cover ends with the reason", async () => {
    await ground.resource.su("create schema shut; create table shut.hidden (n int)");
    const { code, err } = await dump("--schema=shut");
    expect(code).toBe(1);
    expect(err).toMatch(/pg_dump: error: .*(hidden|shut)/s);
  }, 60_000);
});

/** Each dump is marked anew, so that nothing in it can leave psql's restricted mode. */
function withoutNonce(dumped: string): string {
  return dumped.replace(/^\\(un)?restrict .*$/gm, "");
}
