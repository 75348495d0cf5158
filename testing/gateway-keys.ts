/** Keys of gateways in hand, for tests of what happens between a client and a resource. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, type ClientConfig } from "pg";
import { fetchKey } from "@cardea/control/grants/key";
import { showGrant } from "@cardea/control/grants/show";
import type { TestResource } from "@cardea/connectors/postgres/fixture/resource";
import type { GrantId } from "@cardea/core/contract/ids";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { newDeliveryKey, openSealedKey } from "@cardea/sdk/delivery-key";
import { until, type LinkedControl } from "./linked.ts";

/** `read` and `write` are allowed to engineers through the gateway. */
export const gatewayPolicy = `
version: 1
rules:
  - name: engineers
    subjects: { groups: [engineering] }
    permits: { roles: [read, write] }
    limits: { maxDuration: 4h, via: [gateway] }
    effect: allow
`;

export interface GatewayKey {
  readonly grant: GrantId;
  readonly key: DeliveredKey;
}

export interface Wish {
  readonly role?: string;
  readonly duration?: string;
  readonly limits?: { readonly sessions?: number; readonly uses?: number; readonly sourceIps?: string[] };
}

/** Asks as ada, waits for the key, and opens it. */
export async function obtainGatewayKey(
  { control, given }: LinkedControl,
  resource: TestResource,
  { role = "read", duration = "10m", limits }: Wish = {},
): Promise<GatewayKey> {
  const delivery = await newDeliveryKey();
  const view = await given.submit("ada", {
    resource: resource.config.name,
    ask: { role },
    via: "gateway",
    window: { duration },
    deliverTo: delivery.publicKey,
    ...(limits !== undefined && { limits }),
  });
  const grant = view.grant?.id;
  if (grant === undefined) throw new Error(`no grant: ${view.words}`);
  const actor = await given.actor("ada");
  await until("the key is made", async () => {
    const { state, why, detail } = await showGrant(control, actor, grant);
    if (state === "failed") throw new Error(`${why ?? ""}: ${detail ?? ""}`);
    return state === "active";
  });
  const sealed = await fetchKey(control, actor, grant);
  return { grant, key: await openSealedKey(sealed.sealed, delivery.privateKey, sealed.digest) };
}

/** How `pg` connects with it: encrypted, and sure of whom it speaks to. */
function configOf({ user, secret, endpoint }: DeliveredKey, change: Partial<ClientConfig> = {}): ClientConfig {
  const { host, port, databases, ca } = endpoint;
  return {
    host: String(host),
    port: Number(port),
    user,
    password: secret,
    database: Array.isArray(databases) ? databases[0] : String(databases),
    ssl: { ca: String(ca), rejectUnauthorized: true },
    ...change,
  };
}

/** A connected client; what it is told at its end is kept. */
export async function connectThrough(key: DeliveredKey, change: Partial<ClientConfig> = {}): Promise<GatewayClient> {
  const client = new Client(configOf(key, change));
  const ends: Error[] = [];
  const ended = new Promise<Error>((resolve) => {
    client.on("error", (error) => {
      ends.push(error);
      resolve(error);
    });
  });
  await client.connect();
  return { client, ended };
}

export interface GatewayClient {
  readonly client: Client;
  /** The first error outside a query. */
  readonly ended: Promise<Error>;
}

export interface PsqlOutcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/**
 * Runs the real `psql` with a script; errors do not stop it. `onError` hears what it says on its standard error, and may press Ctrl-C by what it
 * is given.
 */
export async function psql(
  key: DeliveredKey,
  script: string,
  onError: (text: string, interrupt: () => void) => void = () => undefined,
): Promise<PsqlOutcome> {
  const directory = await mkdtemp(join(tmpdir(), "cardea-psql-"));
  const { host, port, databases, ca } = key.endpoint;
  const root = join(directory, "ca.pem");
  await writeFile(root, String(ca));
  const database = Array.isArray(databases) ? databases[0] : String(databases);
  const target = `host=${String(host)} port=${String(port)} user=${key.user} dbname=${database ?? ""} sslmode=verify-full sslrootcert=${root}`;
  try {
    return await new Promise((resolve) => {
      const child = execFile(
        "psql",
        ["--no-psqlrc", "--tuples-only", "--no-align", target],
        { env: { ...process.env, PGPASSWORD: key.secret, LC_ALL: "C" } },
        (error, out, err) => resolve({ code: typeof error?.code === "number" ? error.code : 0, out, err }),
      );
      child.stderr?.on("data", (text: unknown) => onError(String(text), () => void child.kill("SIGINT")));
      child.stdin?.end(script);
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A port that nobody listens at just now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
