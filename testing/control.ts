/**
 * A control plane's inside for tests: a real database of its own, migrated, with keys, a clock that can be turned and everything that `Control`
 * names. No HTTP, no jobs, no audit writer: a test starts what it tests. The caller stops it.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { pino, type Logger } from "pino";
import type { Control, ControlSettings, KeyPair } from "@cardea/control/control";
import { recordingKeyOf } from "@cardea/control/recordings/recording-key";
import { openDatabase, type OpenDatabase } from "@cardea/control/store/connection";
import { migrate } from "@cardea/control/store/migrate";
import { startWake } from "@cardea/control/store/wake";
import type { Trust } from "@cardea/core/documents/trust";
import { toBase64Url } from "@cardea/core/lib/base64url";
import type { Clock } from "@cardea/core/lib/clock";
import { ed25519PublicKey, sha256 } from "@cardea/core/lib/crypto";
import { toHex } from "@cardea/core/lib/hex";
import { noteSigner } from "@cardea/core/log/note";
import type { TestCluster } from "./cluster.ts";

export interface TestControl extends AsyncDisposable {
  readonly control: Control;
  readonly database: OpenDatabase;
  readonly databaseUrl: string;
  /** Runs SQL as the database's administrator. */
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** As if by another process over the same database, keys and folders: everything that is remembered in memory is fresh. */
  another(overrides?: Partial<Pick<Control, "clock" | "settings">>): TestControl;
  stop(): Promise<void>;
}

export interface TestControlOptions {
  readonly clock?: Clock;
  readonly settings?: Partial<ControlSettings>;
  readonly log?: Logger;
}

/** Real time of day. */
const systemClock: Clock = { now: () => Date.now() };

export async function startTestControl(cluster: TestCluster, options: TestControlOptions = {}): Promise<TestControl> {
  const directory = await mkdtemp(join(tmpdir(), "cardea-test-control-"));
  const log = options.log ?? pino({ level: process.env["TEST_LOG"] ?? "silent" });
  const { url } = await cluster.createDatabase(await migratedTemplate(cluster, log));
  const keys = {
    signing: keyPair(),
    log: keyPair(),
    installation: new Uint8Array(randomBytes(32)),
    recording: await recordingKeyOf(new Uint8Array(randomBytes(32))),
  };
  const settings: ControlSettings = {
    version: "0.0.0-test",
    development: false,
    publicUrl: "http://127.0.0.1:7400",
    logDirectory: join(directory, "log"),
    recordings: { directory: join(directory, "recordings"), keepMs: 365 * 86_400_000 },
    ...options.settings,
  };
  const trust: Trust = {
    v: 1,
    version: 1,
    level: "vouched",
    origin: "cardea.test/log",
    logKey: noteSigner("cardea.test/log", keys.log.seed).verifierKey,
    controlKey: toBase64Url(keys.signing.publicKey),
    roots: [],
    threshold: 0,
    rpId: "localhost",
    origins: [settings.publicUrl],
  };
  const shared = { url, log, keys, settings, trust, clock: options.clock ?? systemClock };
  const first = open(shared);
  return { ...first, stop: stopAll, [Symbol.asyncDispose]: stopAll };

  async function stopAll(): Promise<void> {
    await first.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

const templates = new WeakMap<TestCluster, Promise<string>>();

/** A database at the newest migration that nobody is connected to; made once a cluster. */
function migratedTemplate(cluster: TestCluster, log: Logger): Promise<string> {
  const made = templates.get(cluster) ?? makeTemplate(cluster, log);
  templates.set(cluster, made);
  return made;
}

async function makeTemplate(cluster: TestCluster, log: Logger): Promise<string> {
  const { name, url } = await cluster.createDatabase();
  const database = openDatabase({ connection: url }, log);
  await migrate(database.connect, log);
  await database.close();
  return name;
}

function open(
  shared: { readonly url: string } & Pick<Control, "log" | "keys" | "settings" | "trust" | "clock">,
): TestControl {
  const { url, ...rest } = shared;
  const database = openDatabase({ connection: url }, rest.log);
  const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)) };
  const wake = startWake({ connect: database.connect, random, log: rest.log });
  const control: Control = { db: database.db, random, wake, ...rest };
  const stop = async (): Promise<void> => {
    await wake.close();
    await database.close();
  };
  return {
    control,
    database,
    databaseUrl: url,
    sql: async (text, values = []) => {
      const client = new Client({ connectionString: url });
      await client.connect();
      try {
        return (await client.query<Record<string, unknown>>(text, [...values])).rows;
      } finally {
        await client.end();
      }
    },
    another: (overrides) => open({ ...shared, ...overrides }),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function keyPair(): KeyPair {
  const seed = new Uint8Array(randomBytes(32));
  const publicKey = ed25519PublicKey(seed);
  return { id: toHex(sha256(publicKey)).slice(0, 16), seed, publicKey };
}
