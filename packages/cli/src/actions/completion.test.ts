import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import type { World } from "../context.ts";
import { buildProgram } from "../program.ts";

/** What the program prints for these words; no control plane is there to ask. */
async function output(...words: string[]): Promise<string> {
  const out: string[] = [];
  const stream = (into: string[]) => ({ write: (text: string) => into.push(text) });
  const world: World = {
    environment: { CARDEA_URL: "http://127.0.0.1:1", CARDEA_TOKEN: "x" },
    clock: { now: () => 0 },
    random: { bytes: (length) => new Uint8Array(length) },
    stdin: process.stdin,
    stdout: stream(out),
    stderr: stream([]),
    signal: new AbortController().signal,
  };
  await buildProgram(world, () => undefined).parseAsync(["node", "cardea", ...words]);
  return out.join("");
}

async function candidates(...words: string[]): Promise<string[]> {
  const lines = (await output("__complete", "--", ...words)).split("\n");
  return lines.filter((line) => line !== "").map((line) => line.split("\t")[0] ?? "");
}

const there = (shell: string) => spawnSync(shell, ["-c", "true"]).status === 0;

describe("completion", () => {
  it.each([
    [["con"], ["connect"]],
    [
      ["tokens", ""],
      ["list", "create", "revoke"],
    ],
    [
      ["policy", "s"],
      ["show", "simulate"],
    ],
    [["--as", "alice", "pol"], ["policy"]],
    [
      ["request", "orders", "--via", ""],
      ["gateway", "direct"],
    ],
    [["requests", "--state", "p"], ["pending"]],
    [["requests", "--to"], ["--to-approve"]],
    [["completion", "f"], ["fish"]],
    [["run", "orders", "--", "--ro"], []],
    [["request", "--why", "x"], []],
    [["show", ""], []],
    [["nonsense", "more", ""], []],
  ])("of %j is %j", async (words, expected) => {
    expect(await candidates(...words)).toEqual(expected);
  });

  it("names every command at the beginning, and none that is hidden", async () => {
    const found = await candidates("");
    expect(found).toEqual(expect.arrayContaining(["connect", "verify", "init", "completion"]));
    expect(found).not.toContain("__complete");
  });

  it("offers a command's own options and the common ones", async () => {
    expect(await candidates("approve", "--")).toEqual(
      expect.arrayContaining(["--only", "--comment", "--as", "--json"]),
    );
  });
});

describe("the scripts", () => {
  it.each(["bash", "zsh"] as const)("parse in %s", async (shell) => {
    if (!there(shell)) return;
    const { status, stderr } = spawnSync(shell, ["-n"], { input: await output("completion", shell) });
    expect([status, stderr.toString()]).toEqual([0, ""]);
  });

  it.skipIf(!there("bash"))("complete in a real bash what the program answers, unusual words included", async () => {
    const script = await output("completion", "bash");
    const driver = `
cardea() { printf '%s\\n' "[$*]" >&2; printf 'sample-shop\\tpostgres, ready\\nsales\\tpostgres\\nother\\t\\n'; }
${script}
COMP_WORDS=(cardea connect "it's" sa); COMP_CWORD=3
_cardea_complete
printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync("bash", ["--norc", "-c", driver]);
    expect(stdout.toString().trim().split("\n")).toEqual(["sample-shop", "sales"]);
  });
});
