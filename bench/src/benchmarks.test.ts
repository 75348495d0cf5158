import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { findProgram } from "./gateway/programs.ts";

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

const pgbench = await findProgram("pgbench");

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
    expect(figures["firstQueryP50Ms"]).toBeGreaterThan(0);
    expect(figures["oneP50Ms"]).toBeGreaterThan(0);
    expect(figures["perSecond"]).toBeGreaterThan(0);
  });

  test("idle", { timeout: 180_000 }, async () => {
    const { name, figures } = await bench("idle", "--short");
    expect(name).toBe("idle");
    for (const process of ["supervisor", "control", "outpost"])
      expect(figures[`${process}AfterMegabytes`]).toBeGreaterThan(10);
  });

  test("hold, each approved and run", { timeout: 120_000 }, async () => {
    const { name, figures } = await bench("hold", "--short");
    expect(name).toBe("hold");
    expect(figures).toMatchObject({ holds: 10 });
    expect(figures["beyondP50Ms"]).toBeGreaterThan(0);
  });

  test.skipIf(pgbench === undefined)("pg-gateway, the same work done on each way", { timeout: 120_000 }, async () => {
    const { name, figures } = await bench("pg-gateway", "--short");
    expect(name).toBe("pg-gateway");
    for (const mode of ["simple", "extended", "prepared"]) {
      expect(figures[`${mode}GatewayTps`]).toBeGreaterThan(100);
      expect(figures[`${mode}ToPipe`]).toBeGreaterThan(0);
    }
    expect(figures["tlsGatewayTps"]).toBeGreaterThan(100);
  });

  test.skipIf(pgbench === undefined)("pg-bulk, all rows out and in", { timeout: 120_000 }, async () => {
    const { name, figures } = await bench("pg-bulk", "--short");
    expect(name).toBe("pg-bulk");
    expect(figures).toMatchObject({ rows: 100_000 });
    for (const work of ["rows", "copyOut", "copyIn"]) expect(figures[`${work}ToDirect`]).toBeGreaterThan(0);
  });

  test.skipIf(pgbench === undefined)("pg-profile", { timeout: 120_000 }, async () => {
    const { name, figures } = await bench("pg-profile", "--short");
    expect(name).toBe("pg-profile");
    expect(figures["preparedUsPerTransaction"]).toBeGreaterThan(1);
  });

  test("revoke, with every socket closed and every login shut", { timeout: 120_000 }, async () => {
    const { name, figures } = await bench("revoke", "--short");
    expect(name).toBe("revoke");
    expect(figures).toMatchObject({ sessionsOpen: 40, keysOfOneSession: 10 });
    expect(figures["oneP99Ms"]).toBeGreaterThan(0);
    expect(figures["allLoginMaxMs"]).toBeGreaterThan(0);
  });

  test("sessions", { timeout: 120_000 }, async () => {
    const { name, figures } = await bench("sessions", "--short");
    expect(name).toBe("sessions");
    expect(figures).toMatchObject({ sessions: 50 });
    expect(figures["openMegabytes"]).toBeGreaterThan(10);
  });
});
