/** What the wire is tortured on: a database, something that stands between it and the outpost, a control plane, and the outpost as a process of its own. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PostgresConfig } from "@cardea/connectors/postgres/spec/config";
import { testResource, type TestResource } from "@cardea/connectors/postgres/fixture/resource";
import type { RequestId } from "@cardea/core/contract/ids";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { Teardown } from "@cardea/server/processes/teardown";
import { freePort, startTestCluster, type TestVersion } from "@cardea/testing/cluster";
import { obtainGatewayKey } from "@cardea/testing/gateway-keys";
import { decideHeld } from "@cardea/testing/held";
import { quickTuning, startLinkedControl, until, untilReady, type LinkedControl } from "@cardea/testing/linked";
import { Between } from "./between.ts";
import { FromOutpost, type Held } from "./outpost-messages.ts";
import type { WrittenOptions } from "./outpost-program.ts";
import { Talker, type Credentials, type Send } from "./talker.ts";
import { Watch } from "./watch.ts";

const policy = `
version: 1
rules:
  - name: engineers
    subjects: { groups: [engineering] }
    permits: { roles: [works] }
    limits: { maxDuration: 4h, via: [gateway] }
    effect: allow
  - name: changes
    subjects: { groups: [engineering] }
    permits: { actions: [sql.update] }
    limits: { maxDuration: 1h, via: [gateway] }
    effect: review
    approvals: [{ count: 1, from: { groups: [dba] } }]
`;

const ground = `
  create table things (id int primary key, note text);
  insert into things values (1, 'one'), (2, 'two'), (3, null);
  create table filled (id int, note text);
  create table secrets (canary text);`;

const program = fileURLToPath(new URL("./outpost-program.js", import.meta.url));
/** Looking at everything all the time would only take turns from what is tortured. */
const calm = { inspectEveryMs: 60_000, reconcileEveryMs: 60_000 };
const settleMs = 40_000;
/** Thousands of sessions are told of one event after the other. */
const toldMs = 240_000;
const keptStreams = 16;
const keptOutput = 200_000;

export class Place implements AsyncDisposable {
  readonly watch: Watch;
  readonly between: Between;
  readonly #stack: Teardown;
  readonly #options: WrittenOptions;
  readonly #resource: TestResource;
  readonly #linked: LinkedControl;
  readonly #key: DeliveredKey;
  #child: ChildProcess;
  #said = "";
  #stopping = false;
  /** Why the outpost's process ended, each time that it did. */
  readonly crashes: string[] = [];
  /** The streams that were altered last, for whoever has to find out which of them did it. */
  readonly recent: string[] = [];
  #restarted: Promise<void> = Promise.resolve();

  private constructor(parts: {
    watch: Watch;
    between: Between;
    stack: Teardown;
    options: WrittenOptions;
    resource: TestResource;
    linked: LinkedControl;
    key: DeliveredKey;
    child: ChildProcess;
  }) {
    this.watch = parts.watch;
    this.between = parts.between;
    this.#stack = parts.stack;
    this.#options = parts.options;
    this.#resource = parts.resource;
    this.#linked = parts.linked;
    this.#key = parts.key;
    this.#child = parts.child;
    this.#attend(parts.child);
  }

  static async open(version: TestVersion): Promise<Place> {
    await using undo = new Teardown();
    const cluster = undo.use(await startTestCluster({ version, settings: { max_connections: "200" } }));
    const between = await Between.start(cluster);
    undo.defer(() => between.close());
    const resource = await testResource(cluster, { port: between.port });
    undo.defer(() => resource.close());
    await resource.su(ground);
    await resource.su(`grant select, insert, update, delete on things, filled to ${resource.admin} with grant option`);
    const linked = undo.use(await startLinkedControl(cluster, { policy }));
    const dataDir = await mkdtemp(join(tmpdir(), "cardea-wire-"));
    undo.defer(() => rm(dataDir, { recursive: true, force: true }));
    const roles: PostgresConfig["roles"] = {
      works: {
        grant: [
          { tables: ["public.things"], privileges: ["select"] },
          { tables: ["public.filled"], privileges: ["insert"] },
        ],
      },
    };
    const gateway = { postgres: { listen: `127.0.0.1:${String(await freePort())}` } };
    const configFile = join(dataDir, "outpost.yaml");
    await writeFile(configFile, JSON.stringify({ resources: [{ ...resource.config, roles }], gateway }));
    const options: WrittenOptions = {
      dataDir,
      configFile,
      controlUrl: linked.url,
      enrolmentToken: await linked.token(),
      settings: { version: "0.0.0-test", environment: {}, tuning: { ...quickTuning, ...calm } },
    };
    const child = await startChild(options);
    let kept = child;
    undo.defer(() => endChild(kept));
    await untilReady(linked.control, resource.config.name);
    const { key } = await obtainGatewayKey(linked, resource, { role: "works", duration: "3h" });
    const watch = new Watch([key.secret, secretOf(resource.config)]);
    const stack = undo.move();
    const place = new Place({ watch, between, stack, options, resource, linked, key, child });
    stack.defer(() => {
      place.#stopping = true;
      kept = place.#child;
    });
    return place;
  }

  get credentials(): Credentials {
    const { user, secret, endpoint } = this.#key;
    return { port: Number(endpoint["port"]), user, secret, database: this.#resource.databases[0] ?? "postgres" };
  }

  /** A connection that nobody has signed in on. */
  async connect(localAddress?: string): Promise<Talker> {
    await this.#restarted;
    const talker = await Talker.connect(this.credentials.port, localAddress);
    return talker;
  }

  /** A session. @throws Error where signing in does not work */
  async session(send?: Send): Promise<Talker> {
    const talker = await this.connect();
    const outcome = await talker.signIn(this.credentials, send);
    if (outcome !== "ready") {
      talker.socket.destroy();
      throw new Error(`signing in came to ${outcome}`);
    }
    talker.heard.length = 0;
    return talker;
  }

  /** Says yes or no to a held statement, as somebody who may. */
  async decide(request: RequestId, verdict: "approve" | "deny"): Promise<void> {
    await decideHeld(this.#linked, request, verdict);
  }

  su(sql: string): Promise<Record<string, unknown>[]> {
    return this.#resource.su(sql);
  }

  /** What clients left at the resource, once nothing is or the time is over; and what the outpost's process holds. */
  async settled(): Promise<{ readonly left: Readonly<Record<string, number>>; readonly held: Held }> {
    const left = await leftAfter(settleMs, async () => ({
      logins: await this.#atResource("pg_roles where rolcanlogin and rolname like 'cardea\\_%'"),
      connections: await this.#atResource(
        "pg_stat_activity where usename like 'cardea\\_%' and application_name = 'torture'",
      ),
    }));
    return { left, held: await this.weigh() };
  }

  /** What the control plane still holds for open, once it has been told everything or the time is over. */
  async told(): Promise<Readonly<Record<string, number>>> {
    return await leftAfter(toldMs, async () => ({
      sessions: await this.#count("sessions where state = 'open'"),
      requests: await this.#count("requests where state = 'pending'"),
    }));
  }

  note(stream: string): void {
    this.recent.push(stream);
    if (this.recent.length > keptStreams) this.recent.shift();
  }

  async weigh(): Promise<Held> {
    await this.#restarted;
    const child = this.#child;
    const answer = new Promise<Held>((resolve) => {
      child.once("message", (message) => {
        const told = FromOutpost.parse(message);
        if (told.kind === "held") resolve(told);
      });
    });
    child.send({ kind: "hold" });
    return answer;
  }

  /** Secrets that the outpost wrote to its log. */
  get loggedSecrets(): number {
    return this.watch.secretsIn(this.#said);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    await this.#restarted.catch(() => undefined);
    await this.#stack[Symbol.asyncDispose]();
  }

  /** In the control plane's database. */
  async #count(rows: string): Promise<number> {
    return Number((await this.#linked.world.sql(`select count(*)::int as n from ${rows}`))[0]?.["n"]);
  }

  async #atResource(rows: string): Promise<number> {
    return Number((await this.su(`select count(*)::int as n from ${rows}`))[0]?.["n"]);
  }

  #attend(child: ChildProcess): void {
    child.stderr
      ?.setEncoding("utf8")
      .on("data", (text: string) => (this.#said = (this.#said + text).slice(-keptOutput)));
    child.once("exit", (code, signal) => {
      if (this.#stopping) return;
      this.crashes.push(`${signal ?? `code ${String(code)}`}: ${this.#said.slice(-1_500)}`);
      this.#restarted = startChild(this.#options).then((next) => {
        this.#child = next;
        this.#attend(next);
      });
    });
  }
}

async function startChild(options: WrittenOptions): Promise<ChildProcess> {
  const child = fork(program, [JSON.stringify(options)], {
    execArgv: ["--expose-gc"],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2_000)));
  const died = once(child, "exit").then(() => {
    throw new Error(`the outpost does not start: ${said}`);
  });
  died.catch(() => undefined);
  await Promise.race([once(child, "message"), died]);
  return child;
}

async function leftAfter(
  withinMs: number,
  look: () => Promise<Record<string, number>>,
): Promise<Readonly<Record<string, number>>> {
  let left = await look();
  const nothing = async (): Promise<boolean> => {
    left = await look();
    return Object.values(left).every((count) => count === 0);
  };
  await until("nothing is left", nothing, withinMs).catch(() => undefined);
  return left;
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

function secretOf({ connect }: PostgresConfig): string {
  return connect.password !== undefined && "value" in connect.password ? connect.password.value : "";
}
