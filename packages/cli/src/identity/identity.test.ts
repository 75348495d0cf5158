import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Identity, openHome, writeIdentity } from "./identity.ts";
import { readPrivate, readPrivateJson, writePrivate } from "./private-file.ts";

const identity = Identity.parse({
  v: 1,
  url: "http://127.0.0.1:7400",
  name: "alice",
  subject: `sub_${"0".repeat(26)}`,
  credential: `crd_${"0".repeat(26)}`,
  kind: "device",
  seed: "A".repeat(43),
});
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cardea-identity-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("private files", () => {
  it("are for their owner alone, folders too, also over an earlier one that was not", async () => {
    const path = join(folder, "a/b/secret");
    await writePrivate(path, "1");
    await chmod(path, 0o644);
    await writePrivate(path, "2");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, "a"))).mode & 0o777).toBe(0o700);
    expect([await readPrivate(path), await readdir(join(folder, "a/b"))]).toEqual(["2", ["secret"]]);
  });

  it("that others may read are refused, because they may have been", async () => {
    const path = join(folder, "secret");
    await writePrivate(path, "1");
    await chmod(path, 0o640);
    await expect(readPrivate(path)).rejects.toMatchObject({ code: "data_directory_invalid" });
  });

  it("that are not there, or are no JSON, are nothing", async () => {
    expect(await readPrivate(join(folder, "none"))).toBeUndefined();
    await writePrivate(join(folder, "torn"), '{"a":');
    expect(await readPrivateJson(join(folder, "torn"))).toBeUndefined();
  });

  it("are never seen half written", async () => {
    const path = join(folder, "token.json");
    const [one, two] = [JSON.stringify({ a: "1".repeat(50_000) }), JSON.stringify({ a: "2".repeat(50_000) })];
    await writePrivate(path, one);
    await writePrivate(path, one);
    const state = { writing: true };
    const writer = (async () => {
      for (let i = 0; i < 40; i++) await writePrivate(path, i % 2 === 0 ? two : one);
      state.writing = false;
    })();
    while (state.writing) expect([one, two]).toContain(await readFile(path, "utf8"));
    await writer;
  });
});

describe("an identity", () => {
  it("is the one in the home that the environment names", async () => {
    await writeIdentity(folder, identity);
    expect(await openHome(undefined, { CARDEA_HOME: folder })).toEqual({ directory: folder, identity });
    expect(await openHome(undefined, { XDG_CONFIG_HOME: folder })).toEqual({
      directory: join(folder, "cardea"),
      identity: undefined,
    });
  });

  it("that cannot be read is not silently nobody", async () => {
    await writePrivate(join(folder, "identity.json"), "{}");
    await expect(openHome(undefined, { CARDEA_HOME: folder })).rejects.toMatchObject({
      code: "data_directory_invalid",
    });
  });

  it("of a sample person comes from the data directory", async () => {
    const people = join(folder, "dev/people");
    await mkdir(people, { recursive: true });
    await writeFile(join(people, "alice.json"), JSON.stringify(identity), { mode: 0o600 });
    expect(await openHome("alice", { CARDEA_DATA: folder })).toEqual({ directory: join(people, "alice"), identity });
    for (const name of ["mallory", "../people/alice", ".", "", "alice.json"])
      await expect(openHome(name, { CARDEA_DATA: folder })).rejects.toMatchObject({ code: "usage" });
  });
});
