// Set-up, in a small checkout of its own: two packages, and node_modules that already stand.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { root } from "./prepare.mjs";

let checkout;

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), "cardea-prepare-"));
  for (const path of [
    "package.json",
    "package-lock.json",
    "tsconfig.base.json",
    "scripts/prepare.mjs",
    "scripts/run.mjs",
  ]) {
    cpSync(join(root, path), join(checkout, path));
  }
  mkdirSync(join(checkout, "node_modules"));
  symlinkSync(join(root, "node_modules/typescript"), join(checkout, "node_modules/typescript"));
  write("node_modules/.package-lock.json", "{}");
  const compilerOptions = { rootDir: "src", outDir: "dist", tsBuildInfoFile: "dist/.tsbuildinfo", types: [] };
  for (const name of ["cli", "server"]) {
    write(`packages/${name}/package.json`, `{ "type": "module" }`);
    write(
      `packages/${name}/tsconfig.json`,
      JSON.stringify({
        extends: "../../tsconfig.base.json",
        compilerOptions,
        include: ["src"],
        exclude: ["src/**/*.test.ts"],
      }),
    );
    write(`packages/${name}/src/main.ts`, `export const name = "${name}";\n`);
  }
  write("packages/server/src/migrations/0001_first.sql", "select 1;\n");
});

afterEach(() => {
  rmSync(checkout, { recursive: true, force: true });
});

describe("a build happens when it has to", () => {
  test("once, and not again while the sources say the same", () => {
    expect(start()).toEqual({ status: 0, built: true });
    expect(start()).toEqual({ status: 0, built: false });
    write("packages/cli/src/main.ts", `export const name = "cli";\n`);
    expect(start()).toEqual({ status: 0, built: false });
  });

  test.each([
    ["a changed source", () => write("packages/cli/src/main.ts", `export const name = "other";\n`), true],
    ["a changed asset", () => write("packages/server/src/migrations/0001_first.sql", "select 2;\n"), true],
    ["a lost output", () => rmSync(join(checkout, "packages/cli/dist"), { recursive: true }), true],
    ["a changed test", () => write("packages/cli/src/main.test.ts", "export {};\n"), false],
  ])("after %s", (_, change, built) => {
    start();
    change();
    expect(start()).toEqual({ status: 0, built });
  });
});

test("assets stand beside the compiled code, and what lost its source goes", () => {
  start();
  expect(existsSync(join(checkout, "packages/server/dist/migrations/0001_first.sql"))).toBe(true);
  const migrations = join(checkout, "packages/server/src/migrations");
  renameSync(join(migrations, "0001_first.sql"), join(migrations, "0002_second.sql"));
  write("packages/server/src/extra.ts", "export const extra = 1;\n");
  start();
  expect(existsSync(join(checkout, "packages/server/dist/migrations/0001_first.sql"))).toBe(false);
  expect(existsSync(join(checkout, "packages/server/dist/migrations/0002_second.sql"))).toBe(true);
  expect(existsSync(join(checkout, "packages/server/dist/extra.js"))).toBe(true);
  rmSync(join(checkout, "packages/server/src/extra.ts"));
  start();
  expect(existsSync(join(checkout, "packages/server/dist/extra.js"))).toBe(false);
});

test("a build that fails ends the command, and is tried again", () => {
  write("packages/server/src/main.ts", "export const name: number = `text`;\n");
  expect(start()).toEqual({ status: 1, built: true });
  expect(start()).toEqual({ status: 1, built: true });
});

test("the program's arguments and exit code are its own", () => {
  write(
    "packages/server/src/main.ts",
    "declare const process: { argv: string[]; exitCode: number };\nprocess.exitCode = process.argv.length;\nexport {};\n",
  );
  expect(start("--as", "alice").status).toBe(5); // node, main, dev, --as, alice
});

function start(...args) {
  const { status, stderr } = spawnSync(process.execPath, ["scripts/run.mjs", "start", ...args], {
    cwd: checkout,
    encoding: "utf8",
  });
  return { status, built: stderr.includes("cardea: building") };
}

function write(path, text) {
  mkdirSync(dirname(join(checkout, path)), { recursive: true });
  writeFileSync(join(checkout, path), text);
}
