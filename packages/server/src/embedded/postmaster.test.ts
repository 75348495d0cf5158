import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { scratchDir } from "../../../../testing/supervised-cluster.ts";
import { commandLine, findPostmaster, isAlive, readPidFile, shutDown } from "./postmaster.ts";

test("a process that has ended and was never reaped is not alive", async () => {
  // The shell becomes a program that never asks after its children.
  const parent = spawn("/bin/sh", ["-c", "sleep 0.01 & echo $!; exec sleep 60"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => void parent.kill());
  const [line] = (await once(createInterface(parent.stdout), "line")) as [string]; // readline's events carry the line
  const pid = Number(line);
  await expect.poll(() => isAlive(pid)).toBe(false);
  expect(process.kill(pid, 0)).toBe(true); // which is what a plain question would have answered
});

test("a process of another user is alive", async () => {
  expect(await isAlive(1)).toBe(true);
});

test("a pid file is read as far as it is written", async () => {
  const dir = await scratchDir();
  const write = (text: string) => writeFile(join(dir, "postmaster.pid"), text);
  expect(await readPidFile(dir)).toBeUndefined();
  expect(await readPidFile(join(dir, "absent"))).toBeUndefined();
  for (const nameless of ["", "\n", "none\n", "0\n"]) {
    await write(nameless);
    expect(await readPidFile(dir)).toBe("nameless");
  }
  await write("123\n/data\n");
  expect(await readPidFile(dir)).toEqual({ pid: 123, status: undefined });
  await write("-123\n/data\n1\n5432\n/socket\n\n 1 2\nready   \n");
  expect(await readPidFile(dir)).toEqual({ pid: 123, status: "ready" });
});

test("a program of another name in the data directory is not its server, and is not ended as one", async () => {
  const dir = join(await scratchDir(), "data");
  await mkdir(dir);
  const other = spawn("sleep", ["60"], { cwd: dir });
  onTestFinished(() => void other.kill());
  await once(other, "spawn");
  const pid = other.pid ?? 0;
  await writeFile(join(dir, "postmaster.pid"), `${pid}\n`);
  expect(await findPostmaster(dir)).toEqual({ kind: "stale", pid, running: true });
  await shutDown(pid, dir, { fastShutdownMs: 50, immediateShutdownMs: 50 });
  expect(await isAlive(pid)).toBe(true);
});

test("a command line is written as postgresql writes it", () => {
  expect(commandLine("/bin/postgres", ["-D", "/a b"])).toBe('/bin/postgres "-D" "/a b"');
});
