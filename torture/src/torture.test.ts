import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));

/** Runs a torture run as people do; answers with its last line, and says what it said where it does not pass. */
async function torture(
  ...args: readonly string[]
): Promise<{ name: string; pass: boolean; figures: Record<string, number> }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [printed, said] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect(code, said).toBe(0);
  // The last line is the result's JSON, by the runner's contract.
  return JSON.parse(printed.trimEnd().split("\n").at(-1) ?? "") as Awaited<ReturnType<typeof torture>>;
}

test("every fourth attack is refused with its exact code", { timeout: 300_000 }, async () => {
  const { pass, figures } = await torture("attack", "--short");
  expect(pass).toBe(true);
  expect(figures["attacks"]).toBeGreaterThan(50);
  expect(figures["refused"]).toBe(figures["attacks"]);
});

test("what is killed leaves nothing behind and forgets nothing", { timeout: 300_000 }, async () => {
  const { pass, figures } = await torture("kill", "--seconds", "20", "--seed", "1");
  expect(pass).toBe(true);
  expect(figures).toMatchObject({ orphans: 0, keysWithoutEvidence: 0, entriesLost: 0, unfinishedGrants: 0, stuck: 0 });
  expect(figures["kills"]).toBeGreaterThan(2);
  expect(figures["loginsSeen"]).toBeGreaterThan(5);
});

test("statements that are judged covered stay inside their grant", { timeout: 300_000 }, async () => {
  const { pass, figures } = await torture("statements", "--short", "--seed", "1");
  expect(pass).toBe(true);
  expect(figures["ways"]).toBeGreaterThan(400);
  for (const version of [15, 18].filter((version) => figures[`refusedOn${String(version)}`] !== undefined)) {
    expect(figures[`refusedOn${String(version)}`]).toBe(figures["ways"]);
    expect(figures[`outsideOn${String(version)}`]).toBe(0);
    expect(figures[`coveredOn${String(version)}`]).toBeGreaterThan(10);
  }
});

test("the gateway's wire neither breaks nor keeps anything", { timeout: 300_000 }, async () => {
  const { pass, figures } = await torture("wire", "--short", "--seed", "1");
  expect(pass).toBe(true);
  expect(figures).toMatchObject({ crashes: 0, problems: 0, strangersRefused: 240 });
  expect(figures["splits"]).toBeGreaterThan(200);
  expect(figures["held"]).toBeGreaterThan(5);
});
