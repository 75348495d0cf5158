import { execFile } from "node:child_process";
import { chmod, chown, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import type { PostgresConfig } from "../spec/config.ts";
import { testResource, type TestResource } from "../fixture/resource.ts";
import { tlsMode } from "./server.ts";

const run = promisify(execFile);
const signal = (): AbortSignal => AbortSignal.timeout(20_000);

test("a connection is protected unless it stays on this machine", () => {
  const connect = { port: 5432, databases: ["x"], user: "u" };
  for (const host of ["127.0.0.1", "::1", "localhost", "/run/postgresql"]) {
    expect(tlsMode({ ...connect, host })).toBe("disable");
  }
  for (const host of ["db.internal", "10.0.0.1", "127.0.0.1.example.com"]) {
    expect(tlsMode({ ...connect, host })).toBe("verify-full");
  }
  expect(tlsMode({ ...connect, host: "db.internal", tls: { mode: "require" } })).toBe("require");
});

for (const version of testVersions) {
  const available = await testServer(version);

  describe.skipIf(!available)(`TLS to postgresql ${version}`, () => {
    let dir: string;
    let cluster: TestCluster;
    let resource: TestResource;
    let ca: string;
    let otherCa: string;

    beforeAll(async () => {
      dir = await mkdtemp(join(tmpdir(), "cardea-tls-"));
      const at = (name: string): string => join(dir, name);
      const authority = async (name: string): Promise<string> => {
        await run("openssl", [
          "req",
          "-x509",
          "-newkey",
          "ec",
          "-pkeyopt",
          "ec_paramgen_curve:P-256",
          "-nodes",
          "-days",
          "2",
          "-subj",
          `/CN=${name}`,
          "-keyout",
          at(`${name}.key`),
          "-out",
          at(`${name}.pem`),
        ]);
        return readFile(at(`${name}.pem`), "utf8");
      };
      ca = await authority("ca");
      otherCa = await authority("other");
      await run("openssl", [
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=server",
        "-keyout",
        at("server.key"),
        "-out",
        at("server.csr"),
      ]);
      // Only by its name: to `127.0.0.1` the certificate does not belong.
      await writeFile(at("ext"), "subjectAltName=DNS:localhost\n");
      await run("openssl", [
        "x509",
        "-req",
        "-in",
        at("server.csr"),
        "-CA",
        at("ca.pem"),
        "-CAkey",
        at("ca.key"),
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        at("ext"),
        "-out",
        at("server.pem"),
      ]);
      // The server reads its key only where its own account owns it.
      await using plain = await startTestCluster({ version });
      const owner = await stat(plain.socketDir);
      await chmod(dir, 0o755);
      await chmod(at("server.key"), 0o600);
      await chown(at("server.key"), owner.uid, owner.gid);
      cluster = await startTestCluster({
        version,
        settings: { ssl: "on", ssl_cert_file: at("server.pem"), ssl_key_file: at("server.key") },
      });
      resource = await testResource(cluster);
    });
    afterAll(async () => {
      await resource.close();
      await cluster.stop();
      await rm(dir, { recursive: true, force: true });
    });

    const connecting = async (host: string, tls: PostgresConfig["connect"]["tls"]): Promise<string> => {
      const provider = resource.open((config) => ({ ...config, connect: { ...config.connect, host, tls } }));
      try {
        await provider.listOwn(signal());
        const [row] = await resource.su(
          `select bool_and(ssl) as ssl from pg_stat_ssl s join pg_stat_activity a using (pid) where a.usename = '${resource.admin}'`,
        );
        return row?.["ssl"] === true ? "encrypted" : "in the clear";
      } catch (error) {
        return error instanceof Error && "code" in error ? String(error.code) : String(error);
      } finally {
        await provider.close();
      }
    };

    test("each mode believes what it says, and no more", async () => {
      const from = (value: string): { value: string } => ({ value });
      const cases: readonly [string, PostgresConfig["connect"]["tls"], string][] = [
        ["127.0.0.1", { mode: "disable" }, "in the clear"],
        ["127.0.0.1", { mode: "require" }, "encrypted"],
        ["127.0.0.1", { mode: "require", ca: from(otherCa) }, "encrypted"],
        ["127.0.0.1", { mode: "verify-ca", ca: from(ca) }, "encrypted"],
        ["127.0.0.1", { mode: "verify-ca", ca: from(otherCa) }, "resource_config_invalid"],
        ["127.0.0.1", { mode: "verify-ca" }, "resource_config_invalid"],
        ["127.0.0.1", { mode: "verify-full", ca: from(ca) }, "resource_config_invalid"],
        ["localhost", { mode: "verify-full", ca: from(ca) }, "encrypted"],
        ["localhost", { mode: "verify-full", ca: from(otherCa) }, "resource_config_invalid"],
        ["localhost", { mode: "verify-full" }, "resource_config_invalid"],
      ];
      for (const [host, tls, outcome] of cases)
        expect(await connecting(host, tls), `${host} ${JSON.stringify(tls?.mode)}`).toBe(outcome);
    });
  });
}
