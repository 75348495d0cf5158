/**
 * A control plane and an outpost, joined by a real link over a loopback socket, with a PostgreSQL resource at the outpost: for tests of what
 * happens between the two. Both live in the calling process, so that a test can turn each one's clock; the caller stops them.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { startSequencer } from "@cardea/control/audit/sequencer";
import type { Control } from "@cardea/control/control";
import { startLink, type Link } from "@cardea/control/link/server";
import { createEnrolmentToken } from "@cardea/control/resources/outposts";
import { resourceByName } from "@cardea/control/store/resources";
import type { ResourceConfig } from "@cardea/connectors/connector";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import { startOutpost, type Outpost, type OutpostOptions } from "@cardea/outpost/start";
import type { GatewaySection } from "@cardea/outpost/gateway/settings";
import type { Tuning } from "@cardea/outpost/settings";
import type { TestCluster } from "./cluster.ts";
import { startTestControl, type TestControl } from "./control.ts";
import { scenario, type Scenario } from "./scenario.ts";

const random: Random = { bytes: (length) => new Uint8Array(randomBytes(length)) };
const systemClock: Clock = { now: () => Date.now() };
const log = pino({ level: process.env["TEST_LOG"] ?? "silent" });

/** `read` and `write` are allowed to engineers as direct keys. */
const directPolicy = `
version: 1
rules:
  - name: engineers
    subjects: { groups: [engineering] }
    permits: { roles: [read, write] }
    limits: { maxDuration: 4h, via: [direct] }
    effect: allow
`;

export interface LinkedControl extends AsyncDisposable {
  readonly world: TestControl;
  readonly control: Control;
  readonly given: Scenario;
  readonly url: string;
  readonly link: Link;
  /** A token for a new outpost, or to replace the one that has this name. */
  token(name?: string): Promise<string>;
  /** Takes the link's server away, and brings it back at the same address. */
  hangUp(): Promise<void>;
  pickUp(): Promise<void>;
}

/** A control plane with its audit writer and its end of the link. */
export async function startLinkedControl(
  cluster: TestCluster,
  options: { readonly clock?: Clock; readonly policy?: string } = {},
): Promise<LinkedControl> {
  const world = await startTestControl(cluster, { log, ...(options.clock !== undefined && { clock: options.clock }) });
  const { control } = world;
  const given = await scenario(control, options.policy ?? directPolicy);
  const sequencer = startSequencer(control, world.database.connect);
  let link = startLink(control);
  let server = await listen(link, 0);
  const { port } = server;
  const hangUp = async (): Promise<void> => {
    await link.close();
    await server.close();
  };
  return {
    world,
    control,
    given,
    url: `ws://127.0.0.1:${String(port)}`,
    get link() {
      return link;
    },
    token: async (name) => (await createEnrolmentToken(control, await given.actor("root"), { name })).token,
    hangUp,
    pickUp: async () => {
      link = startLink(control);
      server = await listen(link, port);
    },
    [Symbol.asyncDispose]: async () => {
      await hangUp();
      await sequencer.close();
      await world.stop();
    },
  };
}

async function listen(link: Link, port: number): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server: Server = createServer();
  server.on("upgrade", (request, socket, head) => link.upgrade(request, socket, head));
  await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}

export interface LinkedOutpost extends AsyncDisposable {
  readonly outpost: Outpost;
  readonly dataDir: string;
  /** Stops it as if it had been told to, and starts it again from its data directory. */
  restart(change?: Partial<OutpostOptions>): Promise<LinkedOutpost>;
  /** Starts another one beside it with the same settings but for these. */
  twin(change: Partial<OutpostOptions>): Promise<LinkedOutpost>;
}

/** Times that suit a test: retries at once, no waiting for company. */
export const quickTuning: Partial<Tuning> = {
  endRetryMs: { first: 20, max: 200 },
  breakerMs: { first: 100, max: 500 },
  redialMs: { first: 20, max: 200 },
  replacedMs: 2_000,
  strangerGraceMs: 200,
  reconcileEveryMs: 300,
  inspectEveryMs: 300,
  maxSleepMs: 50,
  eventDelayMs: 5,
};

/** An outpost that enrols at the control plane, with these resources in its `outpost.yaml`. */
export async function startLinkedOutpost(
  linked: LinkedControl,
  resources: readonly ResourceConfig[],
  change: Partial<OutpostOptions> & {
    readonly tuning?: Partial<Tuning>;
    /** Its gateways, as in `outpost.yaml`. */
    readonly gateway?: GatewaySection;
  } = {},
): Promise<LinkedOutpost> {
  const dataDir = await mkdtemp(join(tmpdir(), "cardea-test-outpost-"));
  const configFile = join(dataDir, "outpost.yaml");
  const { tuning, gateway, ...over } = change;
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify({ resources, ...(gateway !== undefined && { gateway }) }));
  const options: OutpostOptions = {
    dataDir,
    configFile,
    controlUrl: linked.url,
    enrolmentToken: await linked.token(),
    clock: systemClock,
    random,
    log,
    settings: { version: "0.0.0-test", environment: {}, tuning: { ...quickTuning, ...tuning } },
    ...over,
  };
  return await open(options);
}

async function open(options: OutpostOptions): Promise<LinkedOutpost> {
  const outpost = await startOutpost(options);
  return {
    outpost,
    dataDir: options.dataDir,
    restart: async (change) => {
      await outpost.close();
      return await open({ ...options, ...change });
    },
    twin: (change) => open({ ...options, ...change }),
    [Symbol.asyncDispose]: async () => {
      await outpost.close();
      await rm(options.dataDir, { recursive: true, force: true });
    },
  };
}

/** Waits until it is so. @throws Error with what was waited for */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** Waits until the control plane knows the resource as ready. */
export async function untilReady(control: Control, name: string): Promise<void> {
  await until(`${name} is ready`, async () => (await resourceByName(control.db, name))?.state === "ready");
}
