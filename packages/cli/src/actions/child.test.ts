import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findProgram, runChild } from "./child.ts";

const environment = { PATH: process.env["PATH"] };
const sh = (script: string, own: Record<string, string> = {}) =>
  runChild({ command: "/bin/sh", args: ["-c", script], environment: { ...environment, ...own } });

describe("a child process", () => {
  it("gives its own exit code, or 128 and the signal that ended it", async () => {
    expect([await sh("exit 0"), await sh("exit 7"), await sh("kill -TERM $$"), await sh("kill -KILL $$")]).toEqual([
      0, 7, 143, 137,
    ]);
  });

  it("gets this environment and nothing else of ours", async () => {
    expect(await sh('test "$KEY" = secret && test -z "$HOME"', { KEY: "secret" })).toBe(0);
  });

  it("leaves no listener behind", async () => {
    const before = process.listenerCount("SIGINT") + process.listenerCount("SIGTERM") + process.listenerCount("SIGHUP");
    await sh("exit 0");
    await expect(runChild({ command: "/nowhere/at/all", args: [], environment })).rejects.toMatchObject({
      code: "usage",
    });
    expect(process.listenerCount("SIGINT") + process.listenerCount("SIGTERM") + process.listenerCount("SIGHUP")).toBe(
      before,
    );
  });

  it("stays when the terminal's Ctrl-C reaches us too, and ends when we are asked to", async () => {
    const ended = sh("trap 'exit 5' TERM; while :; do sleep 0.05; done");
    await new Promise((resolve) => setTimeout(resolve, 200));
    process.emit("SIGINT");
    process.emit("SIGTERM");
    expect(await ended).toBe(5);
  });
});

describe("a program", () => {
  it("is found as a shell finds it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cardea-path-"));
    await writeFile(join(folder, "tool"), "#!/bin/sh\n", { mode: 0o755 });
    await writeFile(join(folder, "data"), "", { mode: 0o644 });
    expect(await findProgram("tool", { PATH: `/nowhere:${folder}` })).toBe(join(folder, "tool"));
    expect(await findProgram(join(folder, "tool"), {})).toBe(join(folder, "tool"));
    expect(await findProgram("data", { PATH: folder })).toBeUndefined();
    expect(await findProgram("tool", { PATH: "/nowhere" })).toBeUndefined();
    expect(await findProgram(folder, {})).toBeUndefined();
    await rm(folder, { recursive: true });
  });
});
