import { execFile, spawn } from "node:child_process";
import { chmod, chown, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestCluster, testServer, testVersions, type TestCluster } from "@cardea/testing/cluster";
import { everythingCovered, testGateway, type TestGateway } from "./fixture/gateway-host.ts";
import * as raw from "./fixture/raw-client.ts";
import { RawClient } from "./fixture/raw-client.ts";
import type { PostgresUpstream } from "./settings.ts";

const run = promisify(execFile);
/** Debian's. */
const psqlProgram = "psql";

for (const version of testVersions) {
  describe.skipIf(!(await testServer(version)))(`reaching postgresql ${version} by TLS`, () => {
    let dir: string;
    let cluster: TestCluster;
    let ca: string;
    const gateways: TestGateway[] = [];
    beforeAll(async () => {
      dir = await mkdtemp(join(tmpdir(), "cardea-upstream-"));
      const [key, cert] = [join(dir, "server.key"), join(dir, "server.pem")];
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
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        key,
        "-out",
        cert,
      ]);
      ca = await readFile(cert, "utf8");
      // The server reads its key only where its own account owns it.
      await using plain = await startTestCluster({ version });
      const owner = await stat(plain.socketDir);
      await chmod(dir, 0o755);
      await chmod(key, 0o600);
      await chown(key, owner.uid, owner.gid);
      cluster = await startTestCluster({ version, settings: { ssl: "on", ssl_cert_file: cert, ssl_key_file: key } });
    });
    afterAll(async () => {
      for (const gateway of gateways) await gateway.close();
      await cluster.stop();
      await rm(dir, { recursive: true, force: true });
    });

    const gatewayTo = async (change: Partial<PostgresUpstream>): Promise<TestGateway> => {
      const { user, password } = cluster.superuser;
      const upstream = {
        host: "localhost",
        port: cluster.port,
        user,
        secret: password,
        database: "postgres",
        tls: { ca, servername: "localhost" },
        ...change,
      };
      const gateway = await testGateway({
        upstream,
        judge: (statement) =>
          statement.text.startsWith("delete")
            ? {
                is: "held",
                changes: false,
                action: { type: "sql", name: "sql.delete", what: {} },
                traceable: true,
                looksUp: true,
                uses: [{ name: "sql.delete" }],
              }
            : everythingCovered(statement),
      });
      gateways.push(gateway);
      return gateway;
    };
    const open = (gateway: TestGateway): Promise<RawClient> =>
      RawClient.open({ port: gateway.port, user: gateway.key, secret: gateway.secret });

    test("the channel is encrypted, bound and relayed; a cancellation takes the same way", async () => {
      const client = await open(await gatewayTo({}));
      client.send(raw.query("select ssl::text, version from pg_stat_ssl where pid = pg_backend_pid()"));
      const row = (await client.upTo("Z")).find(({ type }) => type === "D");
      expect(row?.body.toString()).toMatch(/true.*TLSv1.3/s);
      client.send(raw.query("select repeat('x', 1000000) from generate_series(1, 20)"));
      expect((await client.upTo("Z")).filter(({ type }) => type === "D")).toHaveLength(20);
      client.send(raw.query("select pg_sleep(60)"));
      await sleep(50);
      const key = client.greeting.find(({ type }) => type === "K")?.body ?? Buffer.alloc(8);
      const head = Buffer.alloc(8);
      head.writeInt32BE(16, 0);
      head.writeInt32BE(80_877_102, 4);
      const port = gateways.at(-1)?.port ?? 0;
      await RawClient.open({ port, user: "", secret: "", before: Buffer.concat([head, key]) }).catch(() => undefined);
      expect(await client.answer()).toMatch(/E\/57014 Z\/I$/);
      client.close();
    });

    test("a server that is not the one gets nothing", async () => {
      for (const tls of [{}, { ca, servername: "elsewhere" }]) {
        await expect(open(await gatewayTo({ tls }))).rejects.toMatchObject({ code: "08001" });
      }
      await expect(open(await gatewayTo({ secret: "wrong" }))).rejects.toMatchObject({ code: "08004" });
      await expect(open(await gatewayTo({ database: "nowhere" }))).rejects.toMatchObject({ code: "3D000" });
    });

    test("by a Unix socket, without a password where the server asks for none", async () => {
      const client = await open(await gatewayTo({ host: cluster.socketDir, tls: false }));
      client.send(raw.query("select 1"));
      expect(await client.answer()).toBe("T D C Z/I");
      client.close();
    });

    test("a held statement in psql: the notice is seen, and Ctrl-C withdraws it", async () => {
      const gateway = await gatewayTo({});
      const uri = `postgresql://${gateway.key}:${gateway.secret}@127.0.0.1:${gateway.port}/postgres`;
      const start = (input: string) => {
        const psql = spawn(psqlProgram, ["-XAt", uri]);
        const seen = { psql, out: "", exit: new Promise((exit) => psql.once("close", exit)) };
        for (const stream of [psql.stdout, psql.stderr])
          stream.on("data", (bytes: Buffer) => (seen.out += bytes.toString()));
        psql.stdin.end(input);
        return seen;
      };
      const given = gateway.nextWaiting();
      const withdrawn = start(
        "create table if not exists kept (id int); insert into kept values (1);\ndelete from kept;\n",
      );
      (await given).tell("waits for approval (K7QD-9MXT-2F4H)");
      await expect.poll(() => withdrawn.out).toContain("NOTICE:  waits for approval (K7QD-9MXT-2F4H)");
      withdrawn.psql.kill("SIGINT");
      await withdrawn.exit;
      expect(withdrawn.out).toContain("canceling statement due to user request");
      const next = gateway.nextWaiting();
      const approved = start("delete from kept;\nselect 'left', count(*) from kept;\n");
      (await next).decide({ is: "run", started: () => Promise.resolve(), settle: () => Promise.resolve({}) });
      await approved.exit;
      const { out } = approved;
      expect(out).toContain("DELETE 1");
      expect(out).toContain("left|0");
    });
  });
}
