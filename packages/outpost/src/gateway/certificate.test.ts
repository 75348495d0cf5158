import { execFile } from "node:child_process";
import { createPublicKey, X509Certificate } from "node:crypto";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock, systemRandom } from "@cardea/connectors/postgres/fixture/system";
import { manualClock } from "@cardea/core/lib/clock";
import { newCertificate, newP256Key } from "./certificate.ts";
import { givenCertificate, OwnAuthority } from "./certificates.ts";

const run = promisify(execFile);

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cardea-test-authority-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("a certificate of our own", () => {
  const nowMs = Date.UTC(2026, 10, 22);
  const authority = newP256Key(systemRandom);
  const key = newP256Key(systemRandom);
  const root = newCertificate({
    subject: "root",
    publicKey: createPublicKey(authority),
    issuer: { name: "root", key: authority },
    serial: Uint8Array.of(0, 200, 1),
    notBeforeMs: nowMs,
    notAfterMs: Date.UTC(2060, 0, 1),
    names: "authority",
  });
  const leaf = newCertificate({
    subject: "gateway",
    publicKey: createPublicKey(key),
    issuer: { name: "root", key: authority },
    serial: systemRandom.bytes(16),
    notBeforeMs: nowMs,
    notAfterMs: nowMs + 86_400_000,
    names: ["db.example.org", "10.1.2.3", "2001:db8::7", "::1"],
  });

  test("says what was asked for", () => {
    const read = new X509Certificate(leaf);
    expect(read.subject).toBe("CN=gateway");
    expect(read.issuer).toBe("CN=root");
    expect(read.ca).toBe(false);
    expect(new Date(read.validFrom).getTime()).toBe(nowMs);
    expect(new Date(read.validTo).getTime()).toBe(nowMs + 86_400_000);
    expect(read.checkHost("db.example.org")).toBe("db.example.org");
    expect(read.checkHost("other.example.org")).toBeUndefined();
    for (const address of ["10.1.2.3", "2001:db8::7", "::1"]) expect(read.checkIP(address)).toBe(address);
    expect(read.checkIP("10.1.2.4")).toBeUndefined();
    const top = new X509Certificate(root);
    expect(top.ca).toBe(true);
    expect(new Date(top.validTo).getTime()).toBe(Date.UTC(2060, 0, 1));
    expect(read.verify(top.publicKey)).toBe(true);
    expect(read.checkIssued(top)).toBe(true);
  });

  test("is what OpenSSL believes at its strictest, for servers, under its names", async () => {
    const [rootFile, leafFile] = [join(directory, "root.pem"), join(directory, "leaf.pem")];
    await writeFile(rootFile, root);
    await writeFile(leafFile, leaf);
    const at = ["-attime", String(nowMs / 1_000 + 60)];
    const verify = ["verify", "-x509_strict", "-purpose", "sslserver", ...at, "-CAfile", rootFile];
    const { stdout } = await run("openssl", [...verify, "-verify_hostname", "db.example.org", leafFile]);
    expect(stdout.trim()).toBe(`${leafFile}: OK`);
    await expect(run("openssl", [...verify, "-verify_hostname", "x.example.org", leafFile])).rejects.toThrow(
      /hostname mismatch/i,
    );
    await expect(run("openssl", ["verify", ...at, leafFile])).rejects.toThrow();
  });
});

describe("a given certificate", () => {
  const write = async (): Promise<{ cert: string; key: string }> => {
    const files = { cert: join(directory, "cert.pem"), key: join(directory, "key.pem") };
    const key = newP256Key(systemRandom);
    const nowMs = systemClock.now();
    const cert = newCertificate({
      subject: "gateway",
      publicKey: createPublicKey(key),
      issuer: { name: "gateway", key },
      serial: systemRandom.bytes(16),
      notBeforeMs: nowMs,
      notAfterMs: nowMs + 86_400_000,
      names: ["localhost"],
    });
    await writeFile(files.cert, cert);
    await writeFile(files.key, key.export({ type: "pkcs8", format: "pem" }));
    return files;
  };
  const log = pino({ level: "silent" });

  test("is read again when its files change, and stays while they do not belong together", async () => {
    const files = await write();
    const certificate = await givenCertificate("postgres", files, log);
    try {
      const first = certificate.secureContext();
      await writeFile(files.cert, "half a certificate");
      await new Promise((done) => setTimeout(done, 6_000));
      expect(certificate.secureContext()).toBe(first);
      await write();
      await vi.waitFor(() => expect(certificate.secureContext()).not.toBe(first), { timeout: 12_000, interval: 200 });
    } finally {
      certificate.close();
    }
  }, 30_000);

  test("that is none stops the start", async () => {
    const files = await write();
    await writeFile(files.key, "no key");
    await expect(givenCertificate("postgres", files, log)).rejects.toMatchObject({ code: "setting_invalid" });
  });
});

describe("the outpost's authority", () => {
  test("is made once, for its owner alone", async () => {
    const first = await OwnAuthority.open(directory, systemClock, systemRandom);
    const again = await OwnAuthority.open(directory, systemClock, systemRandom);
    expect(again.certificate).toBe(first.certificate);
    expect((await stat(join(directory, "gateway-authority.json"))).mode & 0o777).toBe(0o600);
  });

  test("renews what it certifies before that is over", async () => {
    const clock = manualClock(Date.UTC(2026, 10, 22));
    const authority = await OwnAuthority.open(directory, clock, systemRandom);
    const certificate = authority.certify(["localhost"]);
    const first = certificate.secureContext();
    clock.advance(14 * 86_400_000);
    expect(certificate.secureContext()).toBe(first);
    clock.advance(2 * 86_400_000);
    expect(certificate.secureContext()).not.toBe(first);
    expect(certificate.known).toEqual({ ca: authority.certificate });
  });

  test("that is damaged stops the start", async () => {
    await writeFile(join(directory, "gateway-authority.json"), "{}");
    await expect(OwnAuthority.open(directory, systemClock, systemRandom)).rejects.toMatchObject({
      code: "data_directory_invalid",
    });
  });
});
