import {
  chmod,
  chown,
  cp,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  binariesOf,
  clusterOptions,
  isRoot,
  madeClusterOptions,
  query,
  runFile,
  scratchDir,
  supervised,
  systemRandom,
} from "../../../../testing/supervised-cluster.ts";
import { serverAccount, type Account } from "./account.ts";
import { canReach, locateDataDir, locateSocketDir, makeHome, readableBinaries } from "./placement.ts";

const nobody: Account = { uid: 65_534, gid: 65_534, name: "nobody" };
const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

describe.skipIf(!isRoot)("as root, whose server runs under another account", () => {
  test("the server is not root's", async () => {
    const cluster = await supervised(await madeClusterOptions(18, await scratchDir()));
    const account = await serverAccount();
    expect(account).toBeDefined();
    expect((await stat(`/proc/${String(cluster.pid)}`)).uid).toBe(account?.uid);
    expect((await stat(cluster.dataDir)).uid).toBe(account?.uid);
    expect(await readFile(`/proc/${String(cluster.pid)}/status`, "utf8")).toMatch(/^Groups:\s*$/m);
  });

  test("it runs from a checkout that only root can read, from a copy made once", async () => {
    const dir = await scratchDir();
    const checkout = join(dir, "checkout");
    const found = await binariesOf(18);
    await cp(found.root, join(checkout, "native"), { recursive: true, verbatimSymlinks: true });
    await chmod(checkout, 0o700);
    const root = join(checkout, "native");
    const binaries = { ...found, root, initdb: join(root, "bin/initdb"), postgres: join(root, "bin/postgres") };
    const options = { ...(await clusterOptions(18, dir)), binaries };

    const cluster = await supervised(options);
    expect(await query(cluster.connection(), "select 1 as one")).toEqual([{ one: 1 }]);
    await cluster.stop();
    const copies = await readdir(join(dir, "shared"));
    expect(copies).toEqual([expect.stringMatching(/^postgresql-18\./)]);
    await supervised(options);
    expect(await readdir(join(dir, "shared"))).toEqual(copies);
    expect(await mode(checkout)).toBe("700");
  });

  test("servers that start side by side share one copy, and nothing half made stays", async () => {
    const dir = await scratchDir();
    const found = await binariesOf(18);
    const root = join(dir, "checkout", "native");
    await cp(found.root, root, { recursive: true, verbatimSymlinks: true });
    await chmod(join(dir, "checkout"), 0o700);
    const binaries = { ...found, root, initdb: join(root, "bin/initdb"), postgres: join(root, "bin/postgres") };
    const made = await Promise.all([1, 2, 3].map(() => readableBinaries(binaries, nobody, join(dir, "shared"))));
    expect(new Set(made.map((one) => one.root)).size).toBe(1);
    expect(await readdir(join(dir, "shared"))).toEqual([expect.stringMatching(/^postgresql-18\.[^.]+-[0-9a-z]+$/)]);
    expect(await canReach(made[0]?.root ?? "", nobody, ["bin/postgres", "share", "lib"])).toBe(true);
  });

  test("its data is elsewhere when it could not reach it, by a pointer that stays", async () => {
    const dir = await scratchDir();
    const home = join(dir, "home");
    await mkdir(home, { mode: 0o700 });
    const options = { ...(await clusterOptions(18, home)), sharedHome: join(dir, "shared") };
    const cluster = await supervised(options);
    const { host } = cluster.connection();
    onTestFinished(() => rm(host, { recursive: true, force: true }));
    expect(host).toMatch(/^\/run\/cardea-[0-9a-f]{16}$/);
    expect(cluster.dataDir).toContain(join(dir, "shared"));
    expect(await readFile(join(options.dataDir, "cardea-location"), "utf8")).toBe(`${cluster.dataDir}\n`);
    expect(await mode(cluster.dataDir)).toBe("700");
    expect(await mode(home)).toBe("700");
    await query(cluster.connection(), "create table t as select 7 as n");
    await cluster.stop();

    await chmod(home, 0o755); // reachable now, but the data is where it is
    const again = await supervised(options);
    expect(again.dataDir).toBe(cluster.dataDir);
    expect(await query(again.connection(), "select n from t")).toEqual([{ n: 7 }]);
  });

  test("a data directory that was reachable and is no more is refused rather than begun anew", async () => {
    const home = join(await scratchDir(), "home");
    await mkdir(join(home, "data"), { recursive: true });
    await writeFile(join(home, "data", "PG_VERSION"), "18\n");
    await chmod(home, 0o700);
    const located = locateDataDir(join(home, "data"), nobody, systemRandom);
    await expect(located).rejects.toMatchObject({ code: "data_directory_invalid" });
    await expect(located).rejects.toThrow(/`nobody` .* cannot reach/);
  });

  test("a home made for it lets its account through and nobody else see", async () => {
    const dir = await scratchDir();
    await makeHome(join(dir, "a", "b"), nobody);
    for (const made of [join(dir, "a"), join(dir, "a", "b")]) {
      expect(await mode(made)).toBe("710");
      expect((await stat(made)).gid).toBe(nobody.gid);
    }
    expect(await canReach(join(dir, "a", "b"), nobody)).toBe(true);
    expect(await canReach(join(dir, "a", "b"), { ...nobody, uid: 1, gid: 1 })).toBe(false);
    await makeHome(join(dir, "a"), { ...nobody, gid: 1 });
    expect((await stat(join(dir, "a"))).gid).toBe(nobody.gid);
  });

  test("reach is judged by the bits of owner, else group, else others, along the real path", async () => {
    const dir = await scratchDir();
    const inner = join(dir, "inner");
    await mkdir(join(inner, "deep"), { recursive: true });
    await symlink(inner, join(dir, "link"));
    const cases: [number, number, number, boolean][] = [
      [0o001, 0, 0, true],
      [0o010, 0, nobody.gid, true],
      [0o001, 0, nobody.gid, false], // the group's bits count for its members, whatever others may
      [0o100, nobody.uid, 0, true],
      [0o011, nobody.uid, 0, false],
      [0o700, 0, 0, false],
    ];
    for (const [bits, uid, gid, reachable] of cases) {
      await chown(inner, uid, gid);
      await chmod(inner, bits);
      expect([bits, await canReach(join(dir, "link", "deep"), nobody)]).toEqual([bits, reachable]);
    }
  });

  test("a system's own binaries that it cannot read are refused, not copied", async () => {
    const dir = await scratchDir();
    const root = join(dir, "pg");
    await mkdir(join(root, "bin"), { recursive: true, mode: 0o700 });
    const binaries = { ...(await binariesOf(18)), source: "system" as const, root };
    await expect(readableBinaries(binaries, nobody, join(dir, "shared"))).rejects.toMatchObject({
      code: "database_unavailable",
    });
  });

  test("a folder for its socket that somebody else made is refused", async () => {
    const dir = await scratchDir();
    const socketDir = join(dir, "socket");
    await mkdir(socketDir);
    await chown(socketDir, 4_242, 4_242);
    await expect(locateSocketDir(socketDir, nobody)).rejects.toMatchObject({ code: "data_directory_invalid" });
    await rename(socketDir, join(dir, "elsewhere"));
    await symlink(join(dir, "elsewhere"), socketDir);
    await expect(locateSocketDir(socketDir, nobody)).rejects.toMatchObject({ code: "data_directory_invalid" });
  });

  test("a folder for its socket that others could enter is closed to them", async () => {
    const socketDir = join(await scratchDir(), "socket");
    await mkdir(socketDir, { mode: 0o777 });
    await chmod(socketDir, 0o777);
    expect(await locateSocketDir(socketDir, nobody)).toBe(await realpath(socketDir));
    expect([await mode(socketDir), (await stat(socketDir)).uid]).toEqual(["700", nobody.uid]);
  });
});

test.skipIf(!isRoot)("as an ordinary user the server is that user's own", async () => {
  const checkout = await readableCheckout();
  const source = join(checkout, "packages/server/src/embedded");
  const dir = await scratchDir();
  const home = join(dir, "home");
  await mkdir(home, { mode: 0o700 });
  await chown(home, nobody.uid, nobody.gid);
  const options = {
    ...(await clusterOptions(18, home)),
    binaries: await readableBinaries(await binariesOf(18), nobody, join(dir, "shared")),
  };
  const script = `
    const { startCluster } = await import(${JSON.stringify(join(source, "cluster.ts"))});
    const { Client } = await import("pg");
    const { randomBytes } = await import("node:crypto");
    const { statSync } = await import("node:fs");
    const start = () => startCluster({ ...${JSON.stringify(options)}, random: { bytes: (n) => randomBytes(n) } });
    const first = await start();
    await first.stop();
    const cluster = await start();
    const client = new Client(cluster.connection());
    await client.connect();
    await client.query("select 1");
    await client.end();
    console.log(statSync("/proc/" + cluster.pid).uid, statSync(cluster.dataDir).uid);
    await cluster.stop();`;
  const loader = join(checkout, "testing/typescript-loader.mjs");
  const args = ["--conditions", "source", "--import", loader, "--input-type=module", "-e", script];
  const { stdout } = await runFile(process.execPath, args, { uid: nobody.uid, gid: nobody.gid, cwd: source, env: {} });
  expect(stdout.trim()).toBe("65534 65534");
});

/** This checkout where everybody can read it: itself, or a copy for the test. */
async function readableCheckout(): Promise<string> {
  const here = fileURLToPath(new URL("../../../../", import.meta.url));
  const parts = ["packages/core", "packages/server", "testing", "node_modules"];
  if (await canReach(here, nobody, parts)) return here;
  const copy = join(await scratchDir(), "checkout");
  await mkdir(join(copy, "packages"), { recursive: true });
  for (const part of parts) await runFile("cp", ["-a", join(here, part), join(copy, part)]);
  await runFile("chmod", ["-R", "a+rX", copy]);
  return copy;
}
