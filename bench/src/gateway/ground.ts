/**
 * What the gateway's benchmarks stand on: a whole Cardea with its real outpost process, a policy that lets an engineer in at once, and a sample
 * database with room for a thousand sessions. Connections are in the clear on loopback unless a benchmark says otherwise.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type ClientConfig } from "pg";
import type { GrantId } from "@cardea/core/contract/ids";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import type { CardeaClient } from "@cardea/sdk/client";
import { newDeliveryKey } from "@cardea/sdk/delivery-key";
import type { StackOptions } from "@cardea/server/dev/stack";
import { Teardown } from "@cardea/server/processes/teardown";
import { connectionOf, sampleResource, takeKey } from "@cardea/testing/key-in-hand";
import { startWholeStack, type WholeStack } from "@cardea/testing/whole-stack";

/** What people are let do; a held statement asks a database administrator. */
const policy = `version: 1
rules:
  - name: engineers
    subjects: { groups: [engineering] }
    permits: { roles: [read, write] }
    limits: { maxDuration: 8h, via: [direct, gateway] }
    effect: allow
  - name: engineers-change-once
    subjects: { groups: [engineering] }
    permits: { actions: [sql.update] }
    limits: { maxDuration: 30m }
    effect: review
    approvals: [{ count: 1, from: { groups: [dba] } }]
`;

export interface GatewayGround extends AsyncDisposable {
  readonly whole: WholeStack;
  readonly alice: CardeaClient;
  /** The superuser of the sample database, beside every gateway. */
  readonly superuser: Client;
  /** Processes by number; they stay the same. */
  readonly pids: { readonly outpost: number };
}

export interface GroundOptions extends Pick<StackOptions, "env" | "onLine"> {
  readonly say: (line: string) => void;
  /** Connections that the sample database takes; its own default is 100. */
  readonly connections?: number;
}

/** Starts it; the caller ends it. */
export async function startGround(options: GroundOptions): Promise<GatewayGround> {
  await using undo = new Teardown();
  const whole = undo.use(await startWholeStack({ ...options, onStep: options.say }));
  const ada = await whole.as("ada");
  const { base } = await ada.planPolicy(policy);
  await ada.applyPolicy(policy, base);
  if (options.connections !== undefined) await makeRoom(whole, ada, options.connections);
  const superuser = new Client(whole.stack.shop.connection("shop"));
  superuser.on("error", () => undefined);
  await superuser.connect();
  undo.defer(() => superuser.end());
  const outpost = whole.stack.outpost.pid;
  if (outpost === undefined) throw new Error("the outpost does not run");
  const kept = undo.move();
  return {
    whole,
    alice: await whole.as("alice"),
    superuser,
    pids: { outpost },
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  };
}

/** A new number of connections needs a new server; whoever supervises it brings it up again by itself. */
async function makeRoom({ stack: { shop } }: WholeStack, admin: CardeaClient, connections: number): Promise<void> {
  await query(shop.connection(), `alter system set max_connections = ${String(connections)}`);
  const before = shop.pid;
  if (before === undefined) throw new Error("the sample database does not run");
  process.kill(before, "SIGINT");
  await until("the sample database is back", () => shop.pid !== undefined && shop.pid !== before);
  await until("the outpost has found it again", async () => {
    const { state } = await admin.checkResource(sampleResource);
    return state === "ready";
  });
}

async function query(config: ClientConfig, text: string): Promise<void> {
  const client = new Client(config);
  await client.connect();
  await client.query(text);
  await client.end();
}

export interface GatewayKey {
  readonly grant: GrantId;
  readonly key: DeliveredKey;
}

/** Asks for a role behind the gateway, which this ground's policy gives at once, and opens the key. */
export async function obtainGatewayKey(client: CardeaClient, role: "read" | "write"): Promise<GatewayKey> {
  const delivery = await newDeliveryKey();
  const view = await client.submit({
    resource: sampleResource,
    ask: { role },
    justification: "measuring the gateway",
    window: { duration: "2h" },
    via: "gateway",
    deliverTo: delivery.publicKey,
  });
  const { grant, key } = await takeKey(client, { view, delivery });
  return { grant, key };
}

/** A way into the sample database. */
export interface Door {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** The key's own. */
export function doorOf(key: DeliveredKey): Door {
  const { host, port, user, password, database } = connectionOf(key);
  return {
    host: String(host),
    port: Number(port),
    user: String(user),
    password: String(password),
    database: String(database),
  };
}

/** The superuser's, without any gateway. */
export function directDoor({ stack: { shop } }: WholeStack): Door {
  const { host, port, user, password } = shop.connection("shop");
  return { host, port, user, password: password ?? "", database: "shop" };
}

/** Waits until no session has a login at the resource any more, so that what ends does not run beside what is measured next. */
export async function untilNoLoginIsLeft(superuser: Client): Promise<void> {
  await until("the sessions' logins are gone", async () => {
    const { rows } = await superuser.query<{ n: number }>(
      "select count(*)::int as n from pg_roles where rolname ~ '^cardea_' and rolname <> 'cardea_admin'",
    );
    return rows[0]?.n === 0;
  });
}

export async function until(what: string, holds: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > deadline)
      throw new Error(`it did not come to be within ${String(withinMs / 1_000)} s: ${what}`);
    await sleep(20);
  }
}
