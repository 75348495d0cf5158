/** A gateway's key as a person uses it: by the command line and by psql alone, against everything that `npm start` runs. */
import { access, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SessionsPage } from "@cardea/core/wire/api/sessions";
import { startDevelopment, startMs, type Development } from "./development.ts";

let development: Development;
let env: Readonly<Record<string, string>> = {};

beforeAll(async () => {
  development = await startDevelopment();
  ({ env } = development);
}, startMs);
afterAll(() => development[Symbol.asyncDispose](), startMs);

const cardea = (...args: readonly string[]) => development.cardea(...args);

/** The sample database itself, beside the gateway. */
const shop = async () => ({
  host: "127.0.0.1",
  port: Number(env["CARDEA_SAMPLE_PORT"]),
  database: "shop",
  user: "cardea_admin",
  password: (await readFile(join(env["CARDEA_DATA"] ?? "", "sample", "admin-password"), "utf8")).trim(),
});

/** Asks for `read`, which policy gives at once, through the gateway. */
async function keyOf(...wish: readonly string[]): Promise<{ readonly grant: string; readonly uri: string }> {
  const why = ["--role", "read", "--for", "5m", "--why", "looking around", "--as", "alice"];
  const filed = await cardea("request", "sample-shop", ...why, ...wish, "--json");
  expect(filed).toMatchObject({ exit: 0 });
  const grant = /gra_[0-9a-z]{26}/.exec(filed.output)?.[0] ?? "";
  const key = await cardea("key", grant, "--uri", "--as", "alice", "--json");
  return { grant, uri: uriIn(key.output) };
}

function uriIn(output: string): string {
  // The command prints one document, the key with its connection string.
  return (JSON.parse(output) as { uri: string }).uri;
}

/** An open connection, and the words with which it ends. */
async function connect(uri: string): Promise<{ readonly client: Client; readonly ended: Promise<string> }> {
  const client = new Client({ connectionString: uri });
  const ended = new Promise<string>((resolve) => client.on("error", (error) => resolve(error.message)));
  await client.connect();
  return { client, ended };
}

const sessions = async (grant: string) =>
  SessionsPage.parse(
    JSON.parse((await cardea("sessions", "--grant", grant, "--closed", "--as", "ada", "--json")).output),
  ).items;

describe("a gateway's key", () => {
  it("is a key and no login, opens the gateway's own port, and sees the resource", async () => {
    const { grant, uri } = await keyOf();
    const { username, password, port } = new URL(uri);
    expect(username).toBe(grant.replace("gra_", "key_"));
    expect(password).toMatch(/^cardea_[0-9A-Za-z]{36}$/);
    expect(Number(port)).toBe(Number(env["CARDEA_GATEWAY_PORT"]));
    const { client } = await connect(uri);
    expect((await client.query("select count(*)::int as n from orders")).rows).toEqual([{ n: 50_000 }]);
    await expect(client.query("truncate orders")).rejects.toMatchObject({
      code: "42501",
      message: "Dropping or emptying a table goes through a migration.",
    });
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await client.end();
  }, 60_000);

  it("opens nothing at the resource itself", async () => {
    const { username, password } = new URL((await keyOf()).uri);
    const direct = new Client({
      ...(await shop()),
      user: username,
      password,
    });
    await expect(direct.connect()).rejects.toMatchObject({ code: "28P01" });
  }, 60_000);

  it("has sessions that are listed, killed one by one with words, and gone with a revocation", async () => {
    const { grant, uri } = await keyOf();
    const [first, second] = [await connect(uri), await connect(uri)];
    const open = await eventually(
      () => sessions(grant),
      (all) => all.length === 2,
    );
    expect(open.map(({ state }) => state)).toEqual(["open", "open"]);
    const [newest] = open;
    const killed = await cardea("kill", newest?.id ?? "", "--comment", "wrong database", "--as", "bob");
    expect(killed).toMatchObject({ exit: 0 });
    expect(await Promise.race([first.ended, second.ended])).toContain("bob ended the session: wrong database");
    expect((await cardea("revoke", grant, "--as", "ada")).exit).toBe(0);
    expect((await Promise.all([first.ended, second.ended])).join("\n")).toContain("revoked");
    const closed = await eventually(
      () => sessions(grant),
      (all) => all.every(({ state }) => state === "closed"),
    );
    expect(closed.map(({ why }) => why).sort()).toEqual(["killed", "revoked"]);
    await expect(new Client({ connectionString: uri }).connect()).rejects.toMatchObject({ code: "28P01" });
  }, 60_000);

  it("has no more sessions open at once than were asked for", async () => {
    const { grant, uri } = await keyOf("--sessions", "1");
    const { client } = await connect(uri);
    const full = new Client({ connectionString: uri });
    await expect(full.connect()).rejects.toMatchObject({ code: "53300" });
    await client.end();
    expect((await cardea("release", grant, "--as", "alice")).exit).toBe(0);
  }, 60_000);

  it("is used by psql in `connect` and `run`, whose exit is psql's", async (context) => {
    if (!(await onPath("psql"))) context.skip();
    const wish = ["sample-shop", "--role", "read", "--for", "5m", "--why", "looking around", "--as", "alice", "--"];
    expect(await cardea("connect", ...wish, "-Atc", "select 6 * 7")).toMatchObject({
      exit: 0,
      output: expect.stringContaining("42") as string,
    });
    for (const form of ["env", "pgpass"])
      expect(await cardea("run", "--key-as", form, ...wish, "psql", "-Atc", "select 6 * 7")).toMatchObject({ exit: 0 });
    expect(await cardea("run", ...wish, "psql", "-c", "truncate orders")).toMatchObject({ exit: 1 });
  }, 60_000);

  it("is used by `connect` where it is there already, which then asks nobody and gives nothing back", async (context) => {
    if (!(await onPath("psql"))) context.skip();
    const { grant } = await keyOf();
    const again = await cardea("connect", "sample-shop", "--as", "alice", "--", "-Atc", "select 6 * 7");
    expect(again).toMatchObject({ exit: 0, output: expect.stringContaining(`cardea release ${grant}`) as string });
    expect((await cardea("keys", "--as", "alice")).output).toContain(grant);
    for (const left of (await cardea("keys", "--as", "alice")).output.match(/gra_[0-9a-z]{26}/g) ?? [])
      expect(await cardea("release", left, "--as", "alice")).toMatchObject({ exit: 0 });
    // None is left, and policy wants to know why.
    expect(await cardea("connect", "sample-shop", "--as", "alice", "--", "-Atc", "select 1")).toMatchObject({
      exit: 3,
    });
  }, 60_000);

  it("leaves no login behind", async () => {
    const admin = new Client(await shop());
    await admin.connect();
    const left = () =>
      admin.query<{ name: string }>(
        "select rolname as name from pg_roles where rolname ~ '^cardea_' and rolname <> 'cardea_admin'",
      );
    await eventually(left, ({ rows }) => rows.length === 0);
    await admin.end();
  }, 60_000);
});

async function eventually<T>(look: () => Promise<T>, holds: (found: T) => boolean): Promise<T> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const found = await look();
    if (holds(found)) return found;
    if (performance.now() > deadline) throw new Error(`it did not come to be: ${JSON.stringify(found)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function onPath(program: string): Promise<boolean> {
  const found = (process.env["PATH"] ?? "").split(delimiter).map((folder) =>
    access(join(folder, program)).then(
      () => true,
      () => false,
    ),
  );
  return (await Promise.all(found)).includes(true);
}
