/** What was done in a session, told by the command line: against everything that `npm start` runs. */
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SessionsPage } from "@cardea/core/wire/api/sessions";
import { startDevelopment, startMs, type Development } from "./development.ts";

let development: Development;
beforeAll(async () => {
  development = await startDevelopment();
}, startMs);
afterAll(() => development[Symbol.asyncDispose](), startMs);

const cardea = (...args: readonly string[]) => development.cardea(...args);

async function open(): Promise<{ readonly client: Client; readonly session: string }> {
  const filed = await cardea(
    "request",
    "sample-shop",
    "--role",
    "read",
    "--for",
    "5m",
    "--why",
    "looking around",
    "--as",
    "alice",
    "--json",
  );
  const grant = /gra_[0-9a-z]{26}/.exec(filed.output)?.[0] ?? "";
  const key = await cardea("key", grant, "--uri", "--as", "alice", "--json");
  // The command prints one document, the key with its connection string.
  const client = new Client({ connectionString: (JSON.parse(key.output) as { uri: string }).uri });
  client.on("error", () => undefined);
  await client.connect();
  const list = await cardea("sessions", "--grant", grant, "--as", "alice", "--json");
  const session = SessionsPage.parse(JSON.parse(list.output)).items[0]?.id ?? "";
  return { client, session };
}

describe("a session", () => {
  it("is told afterwards: in words, as JSON, and with its values to auditors alone", async () => {
    const { client, session } = await open();
    await client.query("select id\nfrom orders where id = $1", [42]);
    await client.query("truncate orders").catch(() => undefined);
    await client.end();
    const told = await cardea("replay", session, "--follow", "--as", "alice");
    expect(told.exit).toBe(0);
    expect(told.output).toMatch(
      /^\S+Z {2}#1 {2}select id\n {30}from orders where id = \$1\n {26}#1 {2}done, 1 row, \d+ bytes, \d+ ms$/m,
    );
    expect(told.output).toMatch(/#2 {2}refused {2}truncate orders\n {26}#2 {2}.+/);
    expect(told.output).toMatch(/closed \(client\)$/m);
    expect(told.output).toContain("compared with the digest in the log: sha256:");
    expect(told.output).not.toContain('42"');

    const json = await cardea("replay", session, "--as", "alice", "--json");
    const events = json.output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string });
    expect(events.map(({ type }) => type)).toEqual(["action", "outcome", "refused", "closed"]);

    const values = await cardea("replay", session, "--values", "--as", "ada");
    expect(values.output).toContain('#1  parameters: $1 = "42"');
    expect(await cardea("replay", session, "--values", "--as", "alice")).toMatchObject({ exit: 3 });
    expect(await cardea("replay", session, "--as", "bob")).toMatchObject({ exit: 3 });

    const log = await cardea("audit", "--type", "recording.read", "--id", session, "--as", "ada");
    expect(log.output.match(/recording\.read/g)).toHaveLength(2);
  }, 60_000);

  it("is told while it happens, from now on", async () => {
    const { client, session } = await open();
    await client.query("select 'before' from orders limit 1");
    await expect
      .poll(async () => (await cardea("replay", session, "--as", "alice")).output, { timeout: 20_000 })
      .toContain("'before'");
    const following = cardea("sessions", session, "--follow", "--as", "alice");
    await new Promise((done) => setTimeout(done, 3_000));
    await client.query("select 'after' from orders limit 1");
    await client.end();
    const { exit, output } = await following;
    expect(exit).toBe(0);
    expect(output).toContain("'after'");
    expect(output).toContain("closed (client)");
    expect(output).not.toContain("'before'");
    expect(await cardea("sessions", "--follow", "--as", "alice")).toMatchObject({ exit: 2 });
  }, 60_000);
});
