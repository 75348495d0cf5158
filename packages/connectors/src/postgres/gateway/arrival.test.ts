import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createSecureContext, type SecureContext } from "node:tls";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, type TestCluster } from "@cardea/testing/cluster";
import { testGateway, type TestGateway } from "./fixture/gateway-host.ts";
import * as raw from "./fixture/raw-client.ts";
import { RawClient } from "./fixture/raw-client.ts";
import { message } from "./messages.ts";

const run = promisify(execFile);
const available = await testServer(15);

describe.skipIf(!available)("arriving", () => {
  let cluster: TestCluster;
  let gateway: TestGateway;
  let context: SecureContext;
  const sockets: Socket[] = [];
  beforeAll(async () => {
    const dir = await mkdtemp(join(tmpdir(), "cardea-gateway-"));
    const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
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
      "/CN=localhost",
      "-keyout",
      key,
      "-out",
      cert,
    ]);
    context = createSecureContext({ key: await readFile(key), cert: await readFile(cert) });
    await rm(dir, { recursive: true });
    cluster = await startTestCluster({ version: 15 });
    const { user, password } = cluster.superuser;
    gateway = await testGateway({
      upstream: { host: cluster.host, port: cluster.port, user, secret: password, database: "postgres", tls: false },
      settings: {
        tls: { secureContext: () => context },
        limits: { arrivalMs: 300, arriving: 20, arrivingFromOne: 10 },
      },
    });
  });
  afterAll(async () => {
    await gateway.close();
    await cluster.stop();
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await expect.poll(() => gateway.gateway.open).toEqual({ arriving: 0, sessions: 0 });
    expect(gateway.warnings).toEqual([]);
  });

  const open = async (options: Partial<raw.RawOptions> = {}): Promise<RawClient> => {
    const client = await RawClient.open({ port: gateway.port, user: gateway.key, secret: gateway.secret, ...options });
    sockets.push(client.socket);
    return client;
  };
  /** Everything that the server says to these bytes until it closes. */
  const said = async (...pieces: Uint8Array[]): Promise<string> => {
    const socket = connect(gateway.port, "127.0.0.1");
    sockets.push(socket);
    socket.on("error", () => undefined);
    let all = "";
    socket.on("data", (bytes: Buffer) => (all += bytes.toString("latin1")));
    for (const piece of pieces) socket.write(piece);
    await new Promise((closed) => socket.once("close", closed));
    return all;
  };
  const startUp = (options: Record<string, string>, version = 3 << 16): Buffer =>
    message(undefined, version, ...Object.entries(options).flat(), Uint8Array.of(0));
  const sslRequest = message(undefined, 80_877_103);

  test("in the clear, by TLS that was asked for, by TLS at once, bound to the certificate", async () => {
    for (const tls of [undefined, "asked", "direct"] as const) {
      const client = await open(tls === undefined ? {} : { tls });
      client.send(raw.query("select 1"));
      expect(await client.answer()).toBe("T D C Z/I");
      const offered = client.greeting
        .find(({ type, body }) => type === "R" && body.readInt32BE(0) === 10)
        ?.body.toString("latin1", 4);
      expect(offered?.split("\0").filter((name) => name !== "")).toEqual(
        tls === undefined ? ["SCRAM-SHA-256"] : ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"],
      );
      expect(gateway.sessions.at(-1)?.arrival.tls).toBe(tls === undefined ? undefined : "TLSv1.3");
    }
  });

  test("a proof bound to another certificate is no proof", async () => {
    await expect(open({ tls: "asked", otherCertificate: true })).rejects.toMatchObject({ code: "28P01" });
  });

  test("psql by TLS, with the channel bound", async () => {
    const uri = `postgresql://${gateway.key}:${gateway.secret}@127.0.0.1:${gateway.port}/postgres?sslmode=require&channel_binding=require&application_name=psql`;
    expect((await run("psql", ["-XAtc", "select 1", uri])).stdout.trim()).toBe("1");
    expect(gateway.sessions.at(-1)?.arrival).toMatchObject({
      keyId: gateway.key,
      database: "postgres",
      application: "psql",
      source: { address: "127.0.0.1" },
    });
  });

  test("an unknown key and a wrong secret are told in the same words, with the same messages", async () => {
    const failures = [];
    for (const attempt of [{ user: "key_unknown" }, { secret: "cardea_wrong" }]) {
      const failure: { code: string; message: string } = await open(attempt).then(
        () => ({ code: "", message: "" }),
        (error: unknown) => error as { code: string; message: string },
      );
      failures.push({ code: failure.code, message: failure.message.replace(/"key_[^"]*"/, '"…"') });
    }
    expect(failures[0]).toEqual({ code: "28P01", message: 'password authentication failed for user "…"' });
    expect(failures[1]).toEqual(failures[0]);
  });

  test("GSS is declined, and TLS may follow; what comes unencrypted after the request is not believed", async () => {
    const uri = `host=127.0.0.1 port=${gateway.port} user=${gateway.key} password=${gateway.secret} dbname=postgres gssencmode=prefer`;
    expect((await run("psql", ["-XAtc", "select 1", uri])).stdout.trim()).toBe("1");
    expect((await said(message(undefined, 80_877_104), startUp({ database: "x" }))).startsWith("N")).toBe(true);
    const answer = await said(Buffer.concat([sslRequest, startUp({ user: gateway.key })]));
    expect(answer).toContain("08P01");
  });

  test("options: a list is allowed, the rest refused, the pinned ones stay", async () => {
    const client = await open({
      options: {
        application_name: "app",
        timezone: "Asia/Tokyo",
        options: "-c statement_timeout=12s --lock-timeout=3s",
        client_encoding: "SQL_ASCII",
      },
    });
    client.send(
      raw.query(
        "select current_setting('timezone'), current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('client_encoding')",
      ),
    );
    const row = (await client.upTo("Z")).find(({ type }) => type === "D")?.body.toString();
    for (const value of ["Asia/Tokyo", "12s", "3s", "UTF8"]) expect(row).toContain(value);
    const refused: Record<string, string>[] = [
      { search_path: "evil" },
      { options: "-c search_path=evil" },
      { options: "-csession_preload_libraries=x" },
      { options: "--standard-conforming-strings=off" },
      { standard_conforming_strings: "off" },
      { client_encoding: "SJIS" },
      { role: "postgres" },
      { replication: "database" },
      { replication: "true" },
      { options: "-O" },
      { options: "-c" },
    ];
    for (const options of refused)
      await expect(open({ options }), JSON.stringify(options)).rejects.toMatchObject({ code: "0A000" });
    await expect(open({ user: "" })).rejects.toMatchObject({ code: "28000" });
  });

  test("garbage is dropped without an answer; an old protocol is told so", async () => {
    for (const garbage of [
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "\0\0\0\0\0\0\0\0",
      "\xff\xff\xff\xff\xff\xff\xff\xff",
      "SSH-2.0-x\r\n",
    ])
      expect(await said(Buffer.from(garbage, "latin1"))).toBe("");
    // A TLS alert, and nothing of ours.
    expect(await said(Buffer.from("\x16\x03\x01\x00\x05hello", "latin1"))).toMatch(/^\x15\x03.{0,8}$/s);
    expect(await said(startUp({ user: "x" }, 2 << 16))).toContain("0A000");
    expect(await said(message(undefined, 3 << 16, Uint8Array.of(0x75)))).toContain("08P01");
  });

  test("every byte of the way in may come alone", async () => {
    const socket = connect(gateway.port, "127.0.0.1");
    sockets.push(socket);
    for (const byte of Buffer.concat([
      message(undefined, 80_877_104),
      startUp({ user: gateway.key, database: "postgres" }),
    ])) {
      socket.write(Uint8Array.of(byte));
      await sleep(1);
    }
    const [bytes] = await new Promise<Buffer[]>((done) => socket.once("data", (...all: Buffer[]) => done(all)));
    expect(bytes?.toString("latin1")).toMatch(/^N/);
  });

  test("who says nothing, or stops half-way, is dropped in time", async () => {
    const started = Date.now();
    await Promise.all([said(), said(sslRequest), said(startUp({ user: gateway.key })), said(Buffer.from([0, 0]))]);
    expect(Date.now() - started).toBeGreaterThanOrEqual(290);
    expect(Date.now() - started).toBeLessThan(1_500);
  });

  test("a flood of silent connections leaves the sessions alone, and passes", async () => {
    const client = await open();
    const flood = Array.from({ length: 40 }, () => said());
    await sleep(50);
    expect(gateway.gateway.open.arriving).toBeLessThanOrEqual(10);
    client.send(raw.query("select 1"));
    expect(await client.answer()).toBe("T D C Z/I");
    const answers = await Promise.all(flood);
    expect(answers.filter((answer) => answer.includes("53300")).length).toBeGreaterThanOrEqual(30);
    (await open()).close();
  });

  test("a proxy says who its client is; nobody else is believed, and no proxy may keep silent", async () => {
    const { user, password } = cluster.superuser;
    const behind = await testGateway({
      upstream: { host: cluster.host, port: cluster.port, user, secret: password, database: "postgres", tls: false },
      settings: { proxies: ["127.0.0.0/8"], limits: { arrivalMs: 300 } },
    });
    try {
      const v2 = Buffer.concat([
        Buffer.from("\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24", "latin1"),
        Buffer.from("20010db8000000000000000000000007", "hex"),
        Buffer.alloc(16),
        Buffer.from([0x10, 0x00, 0x15, 0x38]),
      ]);
      const headers: [Buffer, string][] = [
        [Buffer.from("PROXY TCP4 203.0.113.7 10.0.0.1 4096 5432\r\n"), "203.0.113.7"],
        [v2, "2001:db8:0:0:0:0:0:7"],
        [Buffer.from("PROXY UNKNOWN\r\n"), "127.0.0.1"],
      ];
      for (const [before, address] of headers) {
        const client = await RawClient.open({ port: behind.port, user: behind.key, secret: behind.secret, before });
        expect(behind.sessions.at(-1)?.arrival.source.address).toBe(address);
        client.close();
      }
      for (const before of ["", "PROXY TCP4 nonsense 10.0.0.1 1 2\r\n", `PROXY ${"x".repeat(200)}`])
        await expect(
          RawClient.open({ port: behind.port, user: behind.key, secret: behind.secret, before: Buffer.from(before) }),
        ).rejects.toThrow();
    } finally {
      await behind.close();
    }
    expect(await said(Buffer.from("PROXY TCP4 203.0.113.7 10.0.0.1 4096 5432\r\n"))).toBe("");
  });

  test("a resource that is down, or lets nobody in, is told in words that say nothing of the login", async () => {
    for (const upstream of [
      { host: "127.0.0.1", port: 1, user: "x", secret: "y", database: "postgres", tls: false as const },
      {
        host: cluster.host,
        port: cluster.port,
        user: "nobody",
        secret: "wrong",
        database: "postgres",
        tls: false as const,
      },
    ]) {
      const without = await testGateway({ upstream });
      const failure = await RawClient.open({ port: without.port, user: without.key, secret: without.secret }).then(
        () => undefined,
        (error: unknown) => error as Error,
      );
      expect(failure).toHaveProperty("code", expect.stringMatching(/^08/));
      expect(failure?.message).not.toContain("nobody");
      expect(without.sessions[0]?.events).toMatchObject([{ type: "closed", why: "resource" }]);
      await without.close();
    }
  });

  test("a closing gateway tells everybody and takes nobody", async () => {
    const { user, password } = cluster.superuser;
    const closing = await testGateway({
      upstream: { host: cluster.host, port: cluster.port, user, secret: password, database: "postgres", tls: false },
    });
    const client = await RawClient.open({ port: closing.port, user: closing.key, secret: closing.secret });
    const closed = closing.close();
    expect((await client.upTo("E")).map(raw.fieldsOf)).toMatchObject([
      { S: "FATAL", C: "57P01", M: "the test is over" },
    ]);
    await closed;
    expect(closing.gateway.open).toEqual({ arriving: 0, sessions: 0 });
  });
});
