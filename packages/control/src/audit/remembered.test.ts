import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { toTime } from "@cardea/core/documents/primitives";
import type { Control } from "../control.ts";
import { forget, forgetOver, isRemembered, manyRemembered, remember } from "./remembered.ts";

let directory: string;
let control: Pick<Control, "log" | "settings">;
const noon = Date.parse("2026-11-22T12:00:00.000Z");

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cardea-test-remembered-"));
  const settings = {
    version: "0",
    development: false,
    publicUrl: "http://127.0.0.1",
    logDirectory: directory,
    recordings: { directory, keepMs: 1 },
  };
  control = { settings, log: pino({ level: "silent" }) };
});
afterEach(() => rm(directory, { recursive: true }));

test("a fact is remembered once and for good, and by whoever shares the folder alone", async () => {
  const fact = { kind: "debts", name: "sub_a.gra_b" } as const;
  expect(await isRemembered(control, fact)).toBe(false);
  expect(await manyRemembered(control, "debts")).toEqual([]);
  await Promise.all([remember(control, fact), remember(control, fact)]);
  expect(await isRemembered(control, fact)).toBe(true);
  expect(await isRemembered(control, { ...fact, kind: "votes" })).toBe(false);
  expect(await manyRemembered(control, "debts")).toEqual(["sub_a.gra_b"]);
  expect((await stat(join(directory, "remembered", "debts"))).mode & 0o777).toBe(0o700);
  await forgetOver(control, toTime(noon));
  expect(await isRemembered(control, fact)).toBe(true);
  await forget(control, fact);
  await forget(control, fact);
  expect(await isRemembered(control, fact)).toBe(false);
});

test("what was to be remembered until a time is kept that long; a file of which only the name was left stays", async () => {
  const names = ["req_a.0", "req_b.0"];
  for (const [index, name] of names.entries())
    await remember(control, { kind: "votes", name }, toTime(noon + index * 1_000));
  await writeFile(join(directory, "remembered", "votes", "req_c.0"), "");
  await forgetOver(control, toTime(noon));
  expect(await manyRemembered(control, "votes")).toHaveLength(3);
  await forgetOver(control, toTime(noon + 1));
  expect((await readdir(join(directory, "remembered", "votes"))).sort()).toEqual(["req_b.0", "req_c.0"]);
});

test("a folder that cannot be written stops nobody, and one that cannot be read is no folder without facts", async () => {
  await writeFile(join(directory, "remembered"), "in the way");
  const fact = { kind: "votes", name: "req_a.0" } as const;
  await remember(control, fact, toTime(noon));
  await expect(isRemembered(control, fact)).rejects.toThrow("ENOTDIR");
});
