import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSettings } from "./settings.ts";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "cardea-settings-"));
  const make = (name: string) =>
    promisify(execFile)("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
      ...["-subj", `/CN=${name}`, "-keyout", join(directory, `${name}.key`), "-out", join(directory, `${name}.crt`)],
    ]);
  await Promise.all([make("one"), make("other")]);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const refused = (words: RegExp): object => ({
  code: "setting_invalid",
  message: expect.stringMatching(words) as string,
});
const read = (environment: NodeJS.ProcessEnv) => readSettings(environment, directory);

describe("TLS", () => {
  it("is read from the files that the environment names", async () => {
    const { tls } = await read({ CARDEA_TLS_CERT: "one.crt", CARDEA_TLS_KEY: join(directory, "one.key") });
    expect(tls?.cert).toMatch(/^-----BEGIN CERTIFICATE-----/);
    expect(tls?.key).toMatch(/^-----BEGIN (EC )?PRIVATE KEY-----/);
  });

  it("or that the settings file names", async () => {
    const file = join(directory, "tls.yaml");
    await writeFile(file, "tls: { cert: one.crt, key: one.key }\nlisten: { host: 0.0.0.0 }\n");
    await expect(read({ CARDEA_CONFIG: file })).resolves.toMatchObject({ tls: {}, listen: { host: "0.0.0.0" } });
  });

  it.each<[string, NodeJS.ProcessEnv, RegExp]>([
    ["half of it", { CARDEA_TLS_CERT: "one.crt" }, /together/],
    [
      "a file that is not there",
      { CARDEA_TLS_CERT: "one.crt", CARDEA_TLS_KEY: "none.key" },
      /^CARDEA_TLS_KEY: .*none\.key/,
    ],
    [
      "another certificate's key",
      { CARDEA_TLS_CERT: "one.crt", CARDEA_TLS_KEY: "other.key" },
      /no certificate and its key/,
    ],
    ["no certificate at all", { CARDEA_TLS_CERT: "one.key", CARDEA_TLS_KEY: "one.key" }, /no certificate and its key/],
  ])("%s is refused", async (_, environment, words) => {
    await expect(read(environment)).rejects.toMatchObject(refused(words));
  });
});

describe("plain HTTP", () => {
  it.each(["127.0.0.1", "127.9.9.9", "::1", "localhost"])("is served at %s", async (host) => {
    await expect(read({ CARDEA_LISTEN_HOST: host })).resolves.toMatchObject({ tls: undefined });
  });

  const outside = ["0.0.0.0", "::", "10.0.0.1", "127.evil.example.com", "cardea.example.com"];
  it.each(outside)("is refused at %s", async (host) => {
    await expect(read({ CARDEA_LISTEN_HOST: host })).rejects.toMatchObject(
      refused(/^CARDEA_LISTEN_HOST: .*plain HTTP/),
    );
    await expect(
      read({ CARDEA_LISTEN_HOST: host, CARDEA_PUBLIC_URL: "http://cardea.example.com" }),
    ).rejects.toMatchObject(refused(/plain HTTP/));
  });

  it.each<[string, NodeJS.ProcessEnv]>([
    ["a public address that is https", { CARDEA_PUBLIC_URL: "https://cardea.example.com" }],
    ["trusted proxies", { CARDEA_TRUSTED_PROXIES: "10.0.0.0/8" }],
    ["TLS", { CARDEA_TLS_CERT: "one.crt", CARDEA_TLS_KEY: "one.key" }],
  ])("is no question with %s", async (_, environment) => {
    await expect(read({ CARDEA_LISTEN_HOST: "0.0.0.0", ...environment })).resolves.toBeDefined();
  });
});

describe("recordings", () => {
  it("are kept for a year in the data directory, unless somebody says otherwise", async () => {
    expect((await read({})).recordings).toEqual({
      directory: join(directory, ".cardea", "recordings"),
      keepDays: 365,
    });
    const file = join(directory, "recordings.yaml");
    await writeFile(file, "recordings: { directory: kept, keepDays: 30 }\n");
    const { recordings } = await read({ CARDEA_CONFIG: file });
    expect(recordings).toEqual({ directory: join(directory, "kept"), keepDays: 30 });
    const over = await read({ CARDEA_CONFIG: file, CARDEA_RECORDINGS: "/elsewhere", CARDEA_RECORDINGS_KEEP_DAYS: "7" });
    expect(over.recordings).toEqual({ directory: "/elsewhere", keepDays: 7 });
  });

  it.each(["0", "-1", "1.5", "a year", "40000"])("are not kept for `%s` days", async (days) => {
    await expect(read({ CARDEA_RECORDINGS_KEEP_DAYS: days })).rejects.toMatchObject(refused(/KEEP_DAYS/));
  });
});
