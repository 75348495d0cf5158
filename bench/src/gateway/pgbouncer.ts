/** PgBouncer before the sample database: session pooling, one login, everything else as Debian's package has it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:net";
import { serverAccount } from "@cardea/server/embedded/account";
import { freePort } from "@cardea/server/processes/free-port";
import { until, type Door } from "./ground.ts";
import { findProgram, run } from "./programs.ts";

/** Somebody else between client and database. */
export interface Peer extends AsyncDisposable {
  readonly door: Door;
  readonly pid: number;
}

/** Starts it; the caller ends it. `undefined` where this machine does not have it, or not what makes it a certificate. */
export async function startPgbouncer(to: Door, options: { readonly tls?: boolean } = {}): Promise<Peer | undefined> {
  const program = await findProgram("pgbouncer");
  const openssl = await findProgram("openssl");
  if (program === undefined || (options.tls === true && openssl === undefined)) return undefined;
  // It refuses to be root, like PostgreSQL.
  const account = await serverAccount();
  const home = await mkdtemp(join(tmpdir(), "cardea-bench-pgbouncer-"));
  const remove = (): Promise<void> => rm(home, { recursive: true, force: true });
  try {
    const port = await freePort();
    const [users, config, key, certificate] = ["users", "config", "key", "certificate"].map((name) => join(home, name));
    if (users === undefined || config === undefined || key === undefined || certificate === undefined)
      throw new TypeError("four names are four paths");
    await writeFile(users, `"${to.user}" "${to.password}"\n`);
    if (options.tls === true && openssl !== undefined) await makeCertificate(openssl, key, certificate);
    const tls =
      options.tls === true
        ? ["client_tls_sslmode = require", `client_tls_key_file = ${key}`, `client_tls_cert_file = ${certificate}`]
        : [];
    await writeFile(
      config,
      [
        "[databases]",
        `${to.database} = host=${to.host} port=${String(to.port)}`,
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        `listen_port = ${String(port)}`,
        "unix_socket_dir =",
        "auth_type = scram-sha-256",
        `auth_file = ${users}`,
        "pool_mode = session",
        "max_client_conn = 200",
        "default_pool_size = 100",
        "log_connections = 0",
        "log_disconnections = 0",
        ...tls,
        "",
      ].join("\n"),
    );
    if (account !== undefined)
      for (const path of [home, users, config, ...(options.tls === true ? [key, certificate] : [])])
        await chown(path, account.uid, account.gid);
    const child = spawn(program, ["-q", config], {
      stdio: "ignore",
      ...(account !== undefined && { uid: account.uid, gid: account.gid }),
    });
    const exit = once(child, "exit");
    const { pid } = child;
    if (pid === undefined) throw new Error(`\`${program}\` could not be started`);
    await until("pgbouncer listens", () => listens(port), 10_000);
    return {
      door: { ...to, host: "127.0.0.1", port },
      pid,
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGKILL");
        await exit;
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function makeCertificate(openssl: string, key: string, certificate: string): Promise<void> {
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  await run(openssl, [...args, "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], process.env);
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const answer = (open: boolean) => (): void => {
      socket.destroy();
      resolve(open);
    };
    socket.once("connect", answer(true)).once("error", answer(false));
  });
}
