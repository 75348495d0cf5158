/**
 * Everything that Cardea needs on one machine: the embedded PostgreSQL, the sample resource in a second one, the control plane and
 * an outpost as processes of their own. `npm start`, the demo, benches and end-to-end tests all run this very stack. It is torn
 * down in the opposite order, and whatever a killed supervisor left behind is adopted or replaced by the next start.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { toHex } from "@cardea/core/lib/hex";
import { serverAccount } from "../embedded/account.ts";
import { startCluster, type Cluster } from "../embedded/cluster.ts";
import { demandBinaries, startEmbeddedDatabase } from "../embedded/control-database.ts";
import { makeHome } from "../embedded/placement.ts";
import { Child } from "../processes/child.ts";
import { lockDataDirectory } from "../processes/data-lock.ts";
import { systemEnvironment, systemRandom } from "../processes/system.ts";
import { Teardown } from "../processes/teardown.ts";
import { ControlReady, OutpostReady } from "../programs/ready.ts";
import { freePort, untilPortFree } from "../processes/free-port.ts";
import { sampleOutpostConfig, sampleResource } from "../sample/resource.ts";
import { seedInstallation, untilResourceReady } from "../sample/seed.ts";
import { ensureShop } from "../sample/shop.ts";

export interface StackOptions {
  /** Absolute. */
  readonly dataDirectory: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly samplePort: number;
  readonly gatewayPort: number;
  /** What the processes say, line by line, and what happens to them. */
  readonly onLine?: (name: string, line: string) => void;
  readonly onStep?: (words: string) => void;
  /** Further variables for the children, such as pause points in a torture run. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface Stack extends AsyncDisposable {
  readonly url: string;
  readonly dataDirectory: string;
  /** Where `--as NAME` finds the sample people's device keys. */
  readonly peopleDirectory: string;
  /** Where keys of the gateway are used, on loopback. */
  readonly gatewayPort: number;
  readonly shop: Cluster;
  readonly database: Cluster;
  readonly control: Child;
  readonly outpost: Child;
  /** Whether this start made the data directory. */
  readonly created: boolean;
}

const main = fileURLToPath(new URL("../main.js", import.meta.url));

/** Brings everything up, or nothing. @throws CardeaError with what failed and what to do. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { dataDirectory } = options;
  const step = options.onStep ?? (() => undefined);
  await makeHome(dataDirectory, await serverAccount());
  await using undo = new Teardown();
  undo.use(await lockDataDirectory(dataDirectory));

  const binaries = await demandBinaries();
  await mkdir(join(dataDirectory, "log"), { recursive: true, mode: 0o700 });
  step("starting PostgreSQL");
  const samplePort = options.samplePort === 0 ? await freePort() : options.samplePort;
  const [database, shop] = await Promise.all([
    startEmbeddedDatabase(dataDirectory).then((cluster) => undo.use(cluster)),
    startCluster({
      binaries,
      superuser: "cardea",
      random: systemRandom,
      dataDir: join(dataDirectory, "sample-postgres"),
      listen: { host: "127.0.0.1", port: samplePort, setting: "CARDEA_SAMPLE_PORT" },
      log: { path: join(dataDirectory, "log", "sample-postgres.log") },
    }).then((cluster) => undo.use(cluster)),
  ]);
  const passwordFile = join(dataDirectory, "sample", "admin-password");
  const gatewayPort = options.gatewayPort === 0 ? await freePort() : options.gatewayPort;
  await prepareShop(dataDirectory, passwordFile, shop, gatewayPort);

  step("starting the control plane");
  const port = options.port === 0 ? await freePort() : options.port;
  const shared = {
    module: main,
    readyTimeoutMs: 60_000,
    stopTimeoutMs: 15_000,
    onLine: options.onLine ?? (() => undefined),
    onExit: (name: string, how: string, restartInMs: number) => {
      step(`${name} ended (${how}), starting it again in ${String(restartInMs)} ms`);
    },
  };
  const control = await Child.start({
    ...shared,
    name: "control plane",
    args: ["server", "--development"],
    env: {
      ...systemEnvironment,
      ...options.env,
      CARDEA_DATA: dataDirectory,
      CARDEA_LISTEN_PORT: String(port),
      CARDEA_DATABASE: database.url("cardea"),
    },
  });
  undo.use(control.child);
  const { url, setupToken, created } = ControlReady.parse(control.ready);

  const peopleDirectory = join(dataDirectory, "dev", "people");
  const { enrolmentToken } = await seedInstallation({ url, setupToken, peopleDirectory, onStep: step });
  step("starting the outpost");
  await untilPortFree(gatewayPort, "CARDEA_GATEWAY_PORT");
  const outpost = await Child.start({
    ...shared,
    name: "outpost",
    args: ["outpost"],
    env: {
      ...systemEnvironment,
      ...options.env,
      CARDEA_OUTPOST_DATA: join(dataDirectory, "outpost"),
      CARDEA_OUTPOST_CONFIG: join(dataDirectory, "outpost.yaml"),
      CARDEA_CONTROL_URL: url,
      ...(enrolmentToken !== undefined && { CARDEA_ENROLMENT_TOKEN: enrolmentToken }),
    },
  });
  undo.use(outpost.child);
  OutpostReady.parse(outpost.ready);
  await untilResourceReady(url, peopleDirectory, sampleResource);
  const kept = undo.move();
  return {
    url,
    dataDirectory,
    peopleDirectory,
    gatewayPort,
    shop,
    database,
    control: control.child,
    outpost: outpost.child,
    created,
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  };
}

/** The shop's database, its administrator's password (made once) and the outpost's configuration. */
async function prepareShop(
  dataDirectory: string,
  passwordFile: string,
  shop: Cluster,
  gatewayPort: number,
): Promise<void> {
  await mkdir(join(dataDirectory, "sample"), { recursive: true, mode: 0o700 });
  let adminPassword: string;
  try {
    adminPassword = (await readFile(passwordFile, "utf8")).trim();
  } catch {
    adminPassword = toHex(systemRandom.bytes(24));
    await writeFile(passwordFile, `${adminPassword}\n`, { mode: 0o600 });
  }
  await ensureShop({ superuser: (name) => shop.connection(name), adminPassword });
  const { host, port } = shop.connection();
  const config = sampleOutpostConfig({ host, port, passwordFile }, gatewayPort);
  await writeFile(join(dataDirectory, "outpost.yaml"), config, { mode: 0o600 });
}
