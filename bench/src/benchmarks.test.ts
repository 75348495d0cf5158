import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));

/** Runs a benchmark as people do; answers with its last line. Whether a target was met is not asked here: CI's machine is anybody's. */
async function bench(...args: readonly string[]): Promise<{ name: string; figures: Record<string, number> }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [printed, said] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect([0, 1], said).toContain(code);
  // The last line is the result's JSON, by the runner's contract.
  return JSON.parse(printed.trimEnd().split("\n").at(-1) ?? "") as Awaited<ReturnType<typeof bench>>;
}

describe("a benchmark in its short form runs to its end and reports figures", () => {
  test("policy", { timeout: 60_000 }, async () => {
    const { name, figures } = await bench("policy", "--short");
    expect(name).toBe("policy");
    expect(figures).toMatchObject({ rules: 1_000 });
    expect(figures["decideP99Us"]).toBeGreaterThan(0);
    expect(figures["decideP50Us"]).toBeLessThan(1_000);
    expect(figures["shareAllowed"]).toBeGreaterThan(0.1);
    expect(figures["shareReviewed"]).toBeGreaterThan(0.1);
  });

  test("mint", { timeout: 180_000 }, async () => {
    const { name, figures } = await bench("mint", "--short");
    expect(name).toBe("mint");
    expect(figures).toMatchObject({ keys: 190, evidenceVerified: 5 });
    expect(figures["oneP50Ms"]).toBeGreaterThan(0);
    expect(figures["perSecond"]).toBeGreaterThan(0);
  });

  test("idle", { timeout: 180_000 }, async () => {
    const { name, figures } = await bench("idle", "--short");
    expect(name).toBe("idle");
    for (const process of ["supervisor", "control", "outpost"])
      expect(figures[`${process}AfterMegabytes`]).toBeGreaterThan(10);
  });
});
