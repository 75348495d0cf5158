/** The control plane's program: settings, keys, then `startControl` until it is asked to end. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startControl, type RunningControl } from "@cardea/control/start";
import { createSetupToken } from "@cardea/control/people/invitations";
import { CardeaError } from "@cardea/core/contract/errors";
import { version } from "../version.ts";
import { serverAccount } from "../embedded/account.ts";
import { startEmbeddedDatabase } from "../embedded/control-database.ts";
import { makeHome } from "../embedded/placement.ts";
import { makeDataDirectory, openInstallation } from "../keys/installation.ts";
import { loadControlKeys } from "../keys/key-files.ts";
import { lockDataDirectory } from "../processes/data-lock.ts";
import { systemClock, systemRandom } from "../processes/system.ts";
import { Teardown } from "../processes/teardown.ts";
import { sampleAdmin } from "../sample/seed.ts";
import { readSettings, type Settings } from "../settings/settings.ts";
import { newLogger } from "./logger.ts";
import { sayReady, untilAsked } from "./parent.ts";
import type { ControlReady } from "./ready.ts";

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { development: { type: "boolean", default: false } } });
  const asked = untilAsked();
  const settings = await readSettings(process.env, process.cwd());
  await using undo = new Teardown();
  const databaseUrl = settings.databaseUrl ?? (await startEmbedded(settings.dataDirectory, undo));
  const { running, created } = await startUp(settings, databaseUrl, values.development);
  undo.defer(() => running.close());
  const setupToken = await setupTokenOf(running, values.development ? sampleAdmin : "admin");
  if (setupToken !== undefined && !values.development) await offerSetupToken(settings.dataDirectory, setupToken);
  const ready: ControlReady = {
    url: running.url,
    created,
    ...(values.development && setupToken !== undefined && { setupToken }),
  };
  sayReady(ready);
  running.control.log.info({ url: running.url, origin: running.control.trust.origin }, "the control plane is ready");
  await asked;
  return 0;
}

/** Without a database of its own to use, the control plane runs one in its data directory, reachable by its socket alone. */
async function startEmbedded(dataDirectory: string, undo: Teardown): Promise<string> {
  await makeHome(dataDirectory, await serverAccount());
  undo.use(await lockDataDirectory(dataDirectory));
  const cluster = undo.use(await startEmbeddedDatabase(dataDirectory));
  return cluster.url("cardea");
}

async function startUp(
  settings: Settings,
  databaseUrl: string,
  development: boolean,
): Promise<{ running: RunningControl; created: boolean }> {
  await makeDataDirectory(settings.dataDirectory);
  const keys = await loadControlKeys(join(settings.dataDirectory, "keys"), systemRandom);
  const publicUrl =
    settings.publicUrl ??
    `${settings.tls === undefined ? "http" : "https"}://${settings.listen.host}:${String(settings.listen.port)}`;
  const { trust, created } = await openInstallation(
    settings.dataDirectory,
    { development, publicUrl, origin: settings.origin },
    keys,
    systemRandom,
  );
  const running = await startControl({
    database: { connection: databaseUrl },
    keys,
    trust,
    settings: {
      version,
      development,
      publicUrl,
      logDirectory: join(settings.dataDirectory, "log-tiles"),
      recordings: {
        directory: settings.recordings.directory,
        keepMs: settings.recordings.keepDays * 86_400_000,
      },
      ...(settings.mail !== undefined && { mail: settings.mail }),
    },
    http: {
      listen: settings.listen,
      trustedProxies: settings.trustedProxies,
      ...(settings.tls !== undefined && { tls: settings.tls }),
    },
    clock: systemClock,
    random: systemRandom,
    log: newLogger("control", settings.logLevel),
  });
  return { running, created };
}

/** The first administrator's invitation, while there is none. */
async function setupTokenOf({ control }: RunningControl, name: string): Promise<string | undefined> {
  try {
    return (await createSetupToken(control, name)).token;
  } catch (error) {
    if (error instanceof CardeaError && error.code === "conflict") return undefined;
    throw error;
  }
}

/** For whoever can read the data directory, which is whoever could read the keys too. */
async function offerSetupToken(directory: string, token: string): Promise<void> {
  const path = join(directory, "setup-token");
  await writeFile(path, `${token}\n`, { mode: 0o600 });
  process.stderr.write(
    `cardea: there is no administrator yet; within 15 minutes: cardea login --invitation - < ${path}\n`,
  );
}
