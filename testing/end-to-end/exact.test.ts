/** Single statements by the command line, as people ask for them, approve them and read what came of them. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RunsPage } from "@cardea/core/wire/api/runs";
import { RequestView } from "@cardea/core/wire/api/requests";
import { startDevelopment, startMs, type Development } from "./development.ts";

let development: Development;
beforeAll(async () => {
  development = await startDevelopment();
}, startMs);
afterAll(() => development[Symbol.asyncDispose](), startMs);

const cardea = (...args: readonly string[]) => development.cardea(...args);
const why = ["--why", "order 7 is wrong", "--as", "alice"];

/** The one JSON document that a command prints, remarks before it left out. */
function documentIn(output: string): unknown {
  return JSON.parse(output.slice(output.indexOf("{")));
}

async function file(...wish: readonly string[]): Promise<RequestView> {
  const filed = await cardea("request", "sample-shop", ...wish, "--no-wait", ...why, "--json");
  expect(filed, filed.output).toMatchObject({ exit: 0 });
  return RequestView.parse(documentIn(filed.output));
}

describe("a statement that is asked for by itself", () => {
  it("is shown as the resource understands it, approved, run once, and answered to who asked", async () => {
    const { id, document, code } = await file(
      "--sql",
      "update orders set note = $1 where id = $2 returning id, note",
      "--param",
      "call\nfirst",
      "--param",
      "7",
    );
    expect(document.asked.ask).toMatchObject({ action: { name: "sql.update", what: { database: "shop" } } });
    const shown = (await cardea("show", id, "--as", "bob")).output;
    expect(shown).toContain("statement  │ update orders set note = $1 where id = $2 returning id, note");
    expect(shown).toContain('with       $1 = "call\\nfirst"');
    expect(shown).toContain("touches    updates public.orders (note)");
    expect(shown).toContain(code);
    expect(await cardea("approve", id, "--as", "alice")).toMatchObject({ exit: 3 });
    // Nobody asks sam, who does not even see it.
    expect(await cardea("approve", id, "--as", "sam")).toMatchObject({ exit: 2 });
    expect(await cardea("approve", id, "--only", "1m", "--as", "bob")).toMatchObject({
      exit: 2,
      output: expect.stringContaining("narrowing_exact") as string,
    });
    expect(await cardea("approve", id, "--as", "bob")).toMatchObject({ exit: 0 });
    const answer = await cardea("result", id, "--as", "alice", "--json");
    expect(answer).toMatchObject({ exit: 0 });
    expect(documentIn(answer.output)).toMatchObject({
      run: { state: "done", rowCount: 1 },
      answer: { rows: [["7", "call\nfirst"]], command: "UPDATE 1" },
    });
    // Again it is fetched, not run again.
    expect((await cardea("result", id, "--as", "alice")).output).toContain("7   call first\n(1 row)\nUPDATE 1");
    const runs = RunsPage.parse(documentIn((await cardea("runs", "--as", "alice", "--json")).output)).items;
    expect(runs.map(({ request, state }) => [request, state])).toEqual([[id, "done"]]);
    expect(await cardea("result", id, "--as", "bob")).toMatchObject({ exit: 5 });
    expect(await cardea("key", id, "--as", "alice")).toMatchObject({ exit: 2 });
  }, 60_000);

  it("waits for its approval and prints the answer", async () => {
    const path = join(development.env["CARDEA_DATA"] ?? "", "fix.sql");
    await writeFile(path, "update orders\n  set note = 'from a file'\n  where id = 8\n");
    const asked = cardea("request", "sample-shop", "--file", path, ...why);
    const id = await eventually(async () => {
      const { output } = await cardea("requests", "--to-approve", "--as", "bob", "--json");
      return /req_[0-9a-z]{26}/.exec(output)?.[0];
    });
    expect(await cardea("approve", id, "--as", "bob")).toMatchObject({ exit: 0 });
    expect(await asked).toMatchObject({ exit: 0, output: expect.stringMatching(/UPDATE 1\n$/) as string });
  }, 60_000);

  it("is answered at once where policy allows it", async () => {
    const { exit, output } = await cardea("request", "sample-shop", "--sql", "select count(*) from orders", ...why);
    expect({ exit, output }).toMatchObject({ exit: 0, output: expect.stringContaining("50000\n(1 row)") as string });
  }, 60_000);

  it.each([
    ["denied by policy", 3, "policy_denied", ["--sql", "drop table orders"]],
    ["several at once", 2, "action_refused", ["--sql", "select 1; select 2"]],
    ["no SQL", 2, "action_refused", ["--sql", "selec 1"]],
    ["empty", 2, "usage", ["--sql", " "]],
    ["of another database", 2, "action_refused", ["--sql", "select 1", "--database", "postgres"]],
    ["not decided in time", 4, "request_pending", ["--sql", "delete from orders where id = 9", "--timeout", "1s"]],
    ["longer in its answer than allowed", 2, "result_too_large", ["--sql", "select * from orders, orders as again"]],
  ] as const)(
    "ends with its own exit code where it is %s",
    async (_, exit, code, wish) => {
      const refused = await cardea("request", "sample-shop", ...wish, ...why);
      expect(refused.output).toContain(`(${code})`);
      expect(refused.exit).toBe(exit);
    },
    60_000,
  );

  it("that is denied, withdrawn, or fails at the resource says so", async () => {
    const denied = await file("--sql", "delete from orders where id = 9");
    expect(await cardea("deny", denied.id, "--comment", "keep it", "--as", "carol")).toMatchObject({ exit: 0 });
    expect(await cardea("result", denied.id, "--as", "alice")).toMatchObject({
      exit: 3,
      output: expect.stringContaining("keep it") as string,
    });
    const withdrawn = await file("--sql", "delete from orders where id = 9");
    expect(await cardea("withdraw", withdrawn.id, "--as", "alice")).toMatchObject({ exit: 0 });
    expect(await cardea("result", withdrawn.id, "--as", "alice")).toMatchObject({ exit: 5 });
    const failing = await file("--sql", "update orders set status = 'nonsense' where id = 9");
    expect(await cardea("approve", failing.id, "--as", "bob")).toMatchObject({ exit: 0 });
    expect(await cardea("result", failing.id, "--as", "alice")).toMatchObject({
      exit: 1,
      output: expect.stringContaining("23514") as string,
    });
  }, 60_000);
});

describe("a statement in a driver", () => {
  it("waits, runs once, and holds up nothing else; cancelled it is withdrawn", async () => {
    const role = ["--role", "read", "--for", "5m", "--why", "order 7 is wrong", "--as", "alice", "--json"];
    const filed = await cardea("request", "sample-shop", ...role);
    const grant = /gra_[0-9a-z]{26}/.exec(filed.output)?.[0] ?? "";
    // The command prints one document, the key with its connection string.
    const { uri } = documentIn((await cardea("key", grant, "--uri", "--as", "alice", "--json")).output) as {
      uri: string;
    };
    const [one, two] = [new Client({ connectionString: uri }), new Client({ connectionString: uri })];
    await Promise.all([one.connect(), two.connect()]);
    try {
      const notice = new Promise<string>((resolve) => one.on("notice", ({ message }) => resolve(message ?? "")));
      const waiting = one.query("update orders set note = $1 where id = $2", ["by a driver", 10]);
      const id = /req_[0-9a-z]{26}/.exec(await notice)?.[0] ?? "";
      expect((await two.query("select note from orders where id = 10")).rows).toEqual([{ note: null }]);
      expect(await cardea("approve", id, "--as", "bob")).toMatchObject({ exit: 0 });
      expect((await waiting).rowCount).toBe(1);
      expect((await two.query("select note from orders where id = 10")).rows).toEqual([{ note: "by a driver" }]);
      expect((await cardea("show", id, "--as", "alice")).output).toMatch(/^run +done, 1 row$/m);

      const again = new Promise<string>((resolve) => two.on("notice", ({ message }) => resolve(message ?? "")));
      const given = two.query("delete from orders where id = 11").catch((error: unknown) => error);
      const other = /req_[0-9a-z]{26}/.exec(await again)?.[0] ?? "";
      expect(await cardea("withdraw", other, "--as", "alice")).toMatchObject({ exit: 0 });
      expect(await given).toMatchObject({ code: "57014" });
      expect((await two.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    } finally {
      await Promise.all([one.end(), two.end()]);
    }
  }, 60_000);
});

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error("it did not come to be");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
