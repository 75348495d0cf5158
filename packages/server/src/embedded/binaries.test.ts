import { cp, lstat, mkdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { testServer } from "../../../../testing/cluster.ts";
import { binariesOf, runFile, scratchDir } from "../../../../testing/supervised-cluster.ts";
import { findBinaries, linkLibraries } from "./binaries.ts";

const links = async (root: string): Promise<string[]> => {
  const list = JSON.parse(await readFile(join(root, "pg-symlinks.json"), "utf8")) as { target: string }[]; // npm's own file
  return list.map(({ target }) => join(dirname(root), target));
};

async function program(bin: string, name: string, script: string): Promise<void> {
  await mkdir(bin, { recursive: true });
  await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

describe("finding binaries", () => {
  test("prefers npm's, and finds another major version where asked for", async () => {
    expect(await findBinaries()).toMatchObject({ kind: "found", binaries: { source: "npm", major: 18 } });
    if (await testServer(15)) {
      expect(await findBinaries({ major: 15 })).toMatchObject({
        kind: "found",
        binaries: { source: "system", major: 15 },
      });
    }
  });

  test("makes the library links that an install without scripts leaves out, whoever else does so too", async () => {
    const root = join(await scratchDir(), "package", "native");
    await cp((await binariesOf(18)).root, root, { recursive: true, verbatimSymlinks: true });
    const all = await links(root);
    expect(all.length).toBeGreaterThan(0);
    await Promise.all(all.map((link) => rm(link)));
    await expect(runFile(join(root, "bin", "initdb"), ["--version"], { env: {} })).rejects.toMatchObject({ code: 127 });

    await Promise.all([linkLibraries(root), linkLibraries(root)]);
    for (const link of all) {
      expect((await lstat(link)).isSymbolicLink()).toBe(true);
      expect(await readlink(link)).not.toContain("/"); // the folder can be moved
    }
    await Promise.all(all.map((link) => rm(link)));
    expect(await findBinaries({ candidates: [{ source: "npm", bin: join(root, "bin") }] })).toMatchObject({
      kind: "found",
    });
    await runFile(join(root, "bin", "initdb"), ["--version"], { env: {} });
  });

  test("says of each place why it will not do: absent, too old, another version, not a server, broken", async () => {
    const dir = await scratchDir();
    const bin = (name: string) => join(dir, name, "bin");
    for (const [name, script] of Object.entries({
      old: "echo 'postgres (PostgreSQL) 14.9'",
      other: "echo 'postgres (PostgreSQL) 16.1'",
      odd: "echo MySQL",
      broken: "exit 3",
    })) {
      await program(bin(name), "initdb", "exit 0");
      await program(bin(name), "postgres", script);
    }
    const names = ["absent", "old", "other", "odd", "broken"];
    const result = await findBinaries({
      major: 15,
      candidates: names.map((name) => ({ source: "system", bin: bin(name) })),
    });
    expect(result).toEqual({
      kind: "unavailable",
      looked: [
        expect.stringContaining("ENOENT"),
        `${bin("old")}: version 14.9 is older than 15`,
        `${bin("other")}: version 16.1`,
        `${bin("odd")}: \`postgres --version\` answered "MySQL\\n"`,
        expect.stringContaining("broken/bin/postgres"),
      ],
    });
  });

  test("looks along the given path last", async () => {
    const bin = join(await scratchDir(), "bin");
    await program(bin, "initdb", "exit 0");
    await program(bin, "postgres", "echo 'postgres (PostgreSQL) 99.1'");
    expect(await findBinaries({ major: 99 })).toMatchObject({ kind: "unavailable" });
    expect(await findBinaries({ major: 99, path: `relative:${bin}` })).toMatchObject({ binaries: { version: "99.1" } });
  });

  test("refuses a list of links that leads out of its package", async () => {
    const root = join(await scratchDir(), "native");
    await mkdir(root);
    await writeFile(join(root, "pg-symlinks.json"), JSON.stringify([{ source: "native/a", target: "native/../../b" }]));
    await expect(linkLibraries(root)).rejects.toThrow(/outside its package/);
  });
});
