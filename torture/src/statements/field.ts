/**
 * Where statements are tried: a real PostgreSQL of one version, a control plane, and an outpost with its gateway before it. A wide session goes
 * through the gateway with a key of a narrow grant, but its login is made a superuser behind the outpost's back, so that the judgement alone
 * stands before the database. A narrow session speaks to the database directly, as a login that has natively what the grant says and nothing more.
 */
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import type { PostgresConfig } from "@cardea/connectors/postgres/spec/config";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { Teardown } from "@cardea/server/processes/teardown";
import { startTestCluster, type TestCluster, type TestVersion } from "@cardea/testing/cluster";
import { obtainGatewayKey } from "@cardea/testing/gateway-keys";
import { startLinkedControl, startLinkedOutpost, untilReady } from "@cardea/testing/linked";
import { groundSql, locksSql, narrowGrants, scopes, stateSql, tablesOf, type Canaries, type Scope } from "./ground.ts";
import { Speaker } from "./speaker.ts";

const policy = `
version: 1
rules:
  - name: engineers
    subjects: { groups: [engineering] }
    permits: { roles: [${scopes.map(({ role }) => role).join(", ")}] }
    limits: { maxDuration: 4h, via: [gateway], sessions: 100 }
    effect: allow
`;

/** Nothing looks at the logins meanwhile, so that what is widened is not taken away and the state is still. */
const quiet = { inspectEveryMs: 3_600_000, reconcileEveryMs: 3_600_000 };
const statementTimeoutMs = 2_000;

export class Field implements AsyncDisposable {
  readonly version: TestVersion;
  readonly canaries: Canaries;
  /** A folder that the server may write to; whatever is in it beside the canary was planted. */
  readonly folder: string;
  readonly #stack: Teardown;
  readonly #cluster: TestCluster;
  readonly #resource: TestResource;
  readonly #admin: Client;
  readonly #keys = new Map<string, DeliveredKey>();
  readonly #obtain: (role: string) => Promise<DeliveredKey>;
  /** What the witness heard by NOTIFY. */
  readonly heard: string[] = [];
  readonly #narrow = new Set<string>();

  private constructor(parts: {
    version: TestVersion;
    canaries: Canaries;
    folder: string;
    stack: Teardown;
    cluster: TestCluster;
    resource: TestResource;
    admin: Client;
    obtain: (role: string) => Promise<DeliveredKey>;
  }) {
    this.version = parts.version;
    this.canaries = parts.canaries;
    this.folder = parts.folder;
    this.#stack = parts.stack;
    this.#cluster = parts.cluster;
    this.#resource = parts.resource;
    this.#admin = parts.admin;
    this.#obtain = parts.obtain;
  }

  static async open(version: TestVersion): Promise<Field> {
    await using undo = new Teardown();
    const folder = await mkdtemp(join(tmpdir(), "cardea-statements-"));
    undo.defer(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o777);
    const cluster = undo.use(
      await startTestCluster({ version, settings: { autovacuum: "off", wal_level: "logical", max_connections: "60" } }),
    );
    const resource = await testResource(cluster);
    undo.defer(() => resource.close());
    const [text, hash] = [`K${randomBytes(9).toString("hex")}`, randomBytes(16).toString("hex")];
    const canaries: Canaries = { text, hash, file: join(folder, "kept") };
    await resource.su(groundSql(canaries, resource.admin));
    const database = resource.databases[0] ?? "postgres";
    await resource.su(`alter database ${database} set statement_timeout = ${String(statementTimeoutMs)}`);
    const linked = undo.use(await startLinkedControl(cluster, { policy }));
    const roles: PostgresConfig["roles"] = Object.fromEntries(
      scopes.map(({ role, grant }) => [
        role,
        { grant: grant.map(({ tables, privileges }) => ({ tables: [...tables], privileges: [...privileges] })) },
      ]),
    );
    const config: PostgresConfig = { ...resource.config, roles };
    undo.use(
      await startLinkedOutpost(linked, [config], {
        gateway: { postgres: { listen: "127.0.0.1:0" } },
        tuning: quiet,
      }),
    );
    await untilReady(linked.control, resource.config.name);
    const admin = new Client({ connectionString: cluster.url({ database }), application_name: "oracle" });
    undo.defer(() => admin.end());
    admin.on("error", () => undefined);
    await admin.connect();
    // The ground gives familiar names another meaning.
    await admin.query("set search_path = pg_catalog");
    const witness = new Client({ connectionString: cluster.url({ database }), application_name: "witness" });
    undo.defer(() => witness.end().catch(() => undefined));
    witness.on("error", () => undefined);
    await witness.connect();
    const obtain = async (role: string): Promise<DeliveredKey> =>
      (await obtainGatewayKey(linked, resource, { role, duration: "2h" })).key;
    const stack = undo.move();
    const field = new Field({ version, canaries, folder, stack, cluster, resource, admin, obtain });
    witness.on("notification", ({ channel }) => field.heard.push(channel));
    await witness.query("listen channel; listen a; create temp table kept (canary text)");
    await witness.query(`select '${text}' as what_others_do`);
    return field;
  }

  get database(): string {
    return this.#resource.databases[0] ?? "postgres";
  }

  /** As a superuser, past the gateway. */
  async su(sql: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.#admin.query<Record<string, unknown>>(sql, [...values])).rows;
  }

  /** Through the gateway; the login can do everything. */
  async wide({ role }: Scope): Promise<Speaker> {
    let key = this.#keys.get(role);
    if (key === undefined) this.#keys.set(role, (key = await this.#obtain(role)));
    const speaker = await Speaker.open({
      port: Number(key.endpoint["port"]),
      user: key.user,
      secret: key.secret,
      database: this.database,
    });
    await this.su(`alter role ${speaker.login} superuser`);
    return speaker;
  }

  /** Past the gateway, with exactly the grant's privileges. */
  async narrow(scope: Scope): Promise<Speaker> {
    const login = `narrow_${scope.role}`;
    if (!this.#narrow.has(login))
      await this.su(`create role ${login} login password 'narrow'; ${narrowGrants(scope, login)}`);
    this.#narrow.add(login);
    return Speaker.open({ port: this.#cluster.port, user: login, secret: "narrow", database: this.database });
  }

  /** Past the gateway, as a superuser: shows what the oracle sees where nothing judges. */
  async unjudged(): Promise<Speaker> {
    const { user, password } = this.#cluster.superuser;
    return Speaker.open({ port: this.#cluster.port, user, secret: password, database: this.database });
  }

  /** Everything that no covered statement may change, as one text. */
  async state(scope: Scope): Promise<string> {
    const named = { name: `state of ${scope.role}`, text: stateSql(scope) };
    const [row] = (await this.#admin.query<{ state: string }>(named)).rows;
    const planted = (await readdir(this.folder)).filter((name) => !this.canaries.file.endsWith(name));
    return JSON.stringify([row?.state, planted, this.heard]);
  }

  async locks(scope: Scope, process: number): Promise<readonly string[]> {
    const rows = await this.su(locksSql, [process, `{${tablesOf(scope).join(",")}}`]);
    return rows.map(({ lock }) => String(lock));
  }

  /** Whether a backend waits for its client: then whoever still waits for an answer has been forgotten. */
  async isIdle(process: number): Promise<boolean> {
    const busy = await this.su("select 1 from pg_stat_activity where pid = $1 and state not like 'idle%'", [process]);
    return busy.length === 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}
