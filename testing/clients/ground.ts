/**
 * What tests of ordinary clients stand on: a server with the things that clients ask about, an outpost with a gateway before it, and keys
 * in hand. The clients are the real ones, unchanged, and reach the server through the gateway alone.
 */
import { execFile } from "node:child_process";
import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { Teardown } from "@cardea/server/processes/teardown";
import { startTestCluster, type TestVersion } from "../cluster.ts";
import { obtainGatewayKey } from "../gateway-keys.ts";
import { startLinkedControl, startLinkedOutpost, untilReady } from "../linked.ts";

const policy = `
version: 1
rules:
  - name: engineers
    subjects: { groups: [engineering] }
    permits: { roles: [read, everything] }
    limits: { maxDuration: 4h, via: [gateway] }
    effect: allow
`;

/** Beside `orders` and `payments`: something of each sort that psql has a command for. */
const content = `
  create table lines (order_id int references orders, n int, primary key (order_id, n)) partition by range (n);
  create table lines_1 partition of lines for values from (0) to (10);
  create view paid as select id from orders where status = 'paid';
  create type mood as enum ('calm', 'cross');
  create function add(int, int) returns int language sql as 'select $1 + $2';
  create index orders_by_status on orders (lower(status));
  comment on table orders is 'who wants what';
  create table numbers (n int primary key, words text);
  insert into numbers select n, repeat('x', n % 100) from generate_series(1, 20000) as n;
`;

export interface Ground extends AsyncDisposable {
  readonly resource: TestResource;
  /** The superuser's way to the resource's database, beside the gateway. */
  readonly url: string;
  /** `read`: selects on everything that there is in `public`; `everything`: changes as well. */
  key(role?: "read" | "everything"): Promise<DeliveredKey>;
  /** Runs a client program to its end with the key in its environment. */
  run(key: DeliveredKey, program: string, args: readonly string[], input?: string): Promise<Outcome>;
  /** What libpq programs read, `sslrootcert` included. */
  environment(key: DeliveredKey): Record<string, string>;
}

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Starts all of it; the caller stops it. `prepare` runs as the superuser before the outpost looks at the resource. */
export async function startGround(version: TestVersion, prepare = ""): Promise<Ground> {
  await using undo = new Teardown();
  const cluster = undo.use(await startTestCluster({ version }));
  const resource = await testResource(cluster);
  undo.defer(() => resource.close());
  const { reader, admin } = resource;
  await resource.su(content + prepare);
  await resource.su(
    `grant select on all tables in schema public to ${reader};
     grant select, insert, update, delete, truncate on all tables in schema public to ${admin} with grant option;
     grant usage on all sequences in schema public to ${admin} with grant option`,
  );
  const linked = undo.use(await startLinkedControl(cluster, { policy }));
  undo.use(await startLinkedOutpost(linked, [resource.config], { gateway: { postgres: { listen: "127.0.0.1:0" } } }));
  await untilReady(linked.control, resource.config.name);
  const folder = await mkdtemp(join(tmpdir(), "cardea-clients-"));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  const caFile = join(folder, "ca.pem");
  const environment = (key: DeliveredKey): Record<string, string> => ({
    PGHOST: String(key.endpoint["host"]),
    PGPORT: String(key.endpoint["port"]),
    PGDATABASE: databaseOf(key),
    PGUSER: key.user,
    PGPASSWORD: key.secret,
    PGSSLMODE: "verify-full",
    PGSSLROOTCERT: caFile,
    LC_ALL: "C",
    PATH: process.env["PATH"] ?? "",
  });
  const kept = undo.move();
  return {
    resource,
    url: cluster.url({ database: resource.databases[0] ?? "" }),
    environment,
    key: async (role = "read") => {
      const { key } = await obtainGatewayKey(linked, resource, { role });
      await writeFile(caFile, String(key.endpoint["ca"]));
      return key;
    },
    run: (key, program, args, input = "") =>
      new Promise((resolve) => {
        const options = { env: environment(key), cwd: folder, maxBuffer: 256 * 1024 * 1024 };
        const child = execFile(program, [...args], options, (error, out, err) => {
          resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, out, err });
        });
        child.stdin?.on("error", () => undefined).end(input);
      }),
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  };
}

export function databaseOf({ endpoint }: DeliveredKey): string {
  const { databases } = endpoint;
  return String(Array.isArray(databases) ? databases[0] : databases);
}

/** @throws Error under `CI=true` where it is missing, because nothing may be skipped there */
export async function hasProgram(name: string): Promise<boolean> {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const looks = folders.map((folder) =>
    access(join(folder, name)).then(
      () => true,
      () => false,
    ),
  );
  const found = (await Promise.all(looks)).includes(true);
  if (!found && process.env["CI"] === "true") throw new Error(`\`${name}\` is not installed`);
  return found;
}
