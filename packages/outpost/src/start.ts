/**
 * The outpost enforces: it alone holds resources' credentials, makes keys from evidence that it verifies itself, and takes them back by its own
 * clock. This file puts one together; `server` calls it in a process of its own. It decides nothing, and serves its control plane and who holds a key.
 */
import { join } from "node:path";
import type { Logger } from "pino";
import { connectors as builtIn } from "@cardea/connectors/catalog";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import { enrolOutpost } from "./enrol.ts";
import { openKeys, readMembership } from "./identity.ts";
import { Admission } from "./gateway/admission.ts";
import { Holds } from "./gateway/holds.ts";
import { KeyEnder } from "./gateway/key-ender.ts";
import { Listeners } from "./gateway/listener.ts";
import { Sessions } from "./gateway/sessions.ts";
import { readGatewaySettings } from "./gateway/settings.ts";
import { Ender } from "./leases/ender.ts";
import type { Teller } from "./leases/events.ts";
import { InHand } from "./leases/in-hand.ts";
import { Issuer } from "./leases/issuer.ts";
import { Reconciler } from "./leases/reconciler.ts";
import { LinkClient } from "./link/client.ts";
import { linkAddress } from "./link/dial.ts";
import { Recorder } from "./recorder/recorder.ts";
import { readConfigFile, type Connectors } from "./resources/config.ts";
import { Registry } from "./resources/registry.ts";
import { Resolver } from "./runs/resolver.ts";
import { RunBook } from "./runs/run-book.ts";
import { Runner } from "./runs/runner.ts";
import { defaultTuning, type OutpostSettings, type Tuning } from "./settings.ts";
import { sweepGrants } from "./store/grants.ts";
import { sweepDocuments } from "./store/keys.ts";
import { leaseCounts } from "./store/leases.ts";
import { lockDirectory } from "./store/lock.ts";
import { Spool } from "./store/spool.ts";
import { Store } from "./store/store.ts";
import { systemMonotonic } from "./system.ts";
import { TaskDesk } from "./tasks.ts";
import { ClockMemory } from "./trust/clock-memory.ts";
import { SteadyClock } from "./trust/steady-clock.ts";
import type { Monotonic } from "./trust/monotonic.ts";
import { TrustState } from "./trust/trust-state.ts";

export interface OutpostOptions {
  /** 0700; keys, membership and the store are in it. One outpost at a time. */
  readonly dataDir: string;
  /** `outpost.yaml`. Without it only what is configured over the link is served. */
  readonly configFile?: string | undefined;
  /** `http(s)://` or `ws(s)://`. Default: the address in the token, and later the one that it enrolled at. */
  readonly controlUrl?: string | undefined;
  /** Needed at the first start only. */
  readonly enrolmentToken?: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly settings: OutpostSettings;
  /** Default: the built-in ones. */
  readonly connectors?: Connectors;
  /** Default: the system's. Tests that turn `clock` turn this too. */
  readonly monotonic?: Monotonic;
  /** Cancels a start that waits for the control plane to enrol with. */
  readonly signal?: AbortSignal;
}

export interface Outpost {
  readonly id: string;
  readonly name: string;
  /** Whether the link is up. */
  connected(): boolean;
  /** Stops issuing and ending, tells nothing more, and closes the store. What was begun is finished by the next start. */
  close(): Promise<void>;
}

const sweepEveryMs = 3_600_000;

/**
 * Starts; resolves once leases are being kept, whether or not the link is up. At the first start that needs the control plane.
 * @throws CardeaError `already_running`, `data_directory_invalid`, `store_failed`, `enrolment_invalid`, `resource_config_invalid`, `setting_invalid`
 */
export async function startOutpost(options: OutpostOptions): Promise<Outpost> {
  const {
    dataDir,
    configFile,
    clock,
    random,
    log,
    settings,
    monotonic = systemMonotonic,
    connectors = builtIn,
  } = options;
  const tuning: Tuning = { ...defaultTuning, ...settings.tuning };
  const file = configFile === undefined ? { entries: [], gateway: {} } : await readConfigFile(configFile, connectors);
  const kinds = Object.keys(connectors).filter((kind) => connectors[kind]?.gateway !== undefined);
  const gateways = readGatewaySettings(kinds, file.gateway, settings.environment, configFile);
  const closing = new AbortController();
  const keys = await openKeys(dataDir, random);
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    closing.abort();
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const lock = await lockDirectory(dataDir, process.pid);
    closers.push(() => lock.release());
    const membership =
      (await readMembership(dataDir)) ??
      (await enrolOutpost({
        dataDir,
        controlUrl: options.controlUrl,
        token: options.enrolmentToken,
        keys,
        random,
        tuning,
        log,
        signal: options.signal ?? closing.signal,
      }));
    const address = linkAddress(options.controlUrl ?? membership.url);

    const store = Store.open(join(dataDir, "store"));
    closers.push(() => store.close());
    const memory = new ClockMemory(store);
    const steady = new SteadyClock({
      clock,
      monotonic,
      knownMs: memory.read(),
      stepMs: tuning.clockStepMs,
      skewMs: tuning.clockSkewMs,
    });
    const spool = new Spool(store, clock, random);
    closers.push(() => spool.settle());
    const recorder = await Recorder.open({
      directory: join(dataDir, "recordings"),
      store,
      clock,
      random,
      log,
      limits: settings.recorder,
    });
    closers.push(() => recorder.close());
    const trust = new TrustState({
      store,
      trust: membership.trust,
      self: membership.outpost,
      identityKey: keys.identityKey,
      steady,
    });
    const registry = await Registry.open({
      store,
      keys,
      membership,
      connectors,
      entries: file.entries,
      configFile,
      gatewayKinds: new Set(gateways.map(({ kind }) => kind)),
      environment: settings.environment,
      tuning,
      clock,
      random,
      monotonic,
      log,
    });
    closers.push(() => registry.close());

    const teller: Teller = { spool, outpost: membership.outpost };
    const inHand = new InHand();
    const sessions = new Sessions();
    const ender = new Ender({
      store,
      teller,
      steady,
      inHand,
      sessions,
      hostFor: (id) => registry.hostFor(id),
      tuning,
      clock,
      random,
      log,
    });
    closers.push(() => ender.close());
    const listeners = new Listeners({ settings: gateways, connectors, dataDir, clock, random, log });
    const issuer = new Issuer({
      store,
      teller,
      trust,
      steady,
      ender,
      inHand,
      listeners,
      hostOf: (id) => registry.hostOf(id),
      tuning,
      clock,
      random,
      log,
    });
    closers.push(() => issuer.close());
    const holds = new Holds({ store, teller, trust, keys, tuning, random, log });
    const book = new RunBook({ store, teller, trust, keys, clock, random });
    const resolver = new Resolver({
      store,
      book,
      ender,
      hostFor: (id) => registry.hostFor(id),
      monotonic,
      tuning,
      random,
      log,
    });
    closers.push(() => resolver.close());
    const reconciler = new Reconciler({ store, teller, ender, steady, monotonic, tuning, clock, log });
    const keyEnder = new KeyEnder({ store, teller, steady, ender, inHand, sessions, recorder, tuning, clock, log });
    const runner = new Runner({
      store,
      teller,
      trust,
      steady,
      book,
      resolver,
      holds,
      ender,
      keyEnder,
      inHand,
      sessions,
      hostOf: (id) => registry.hostOf(id),
      tuning,
      clock,
      random,
      log,
    });
    closers.push(() => runner.close());
    const admission = await Admission.open({
      store,
      teller,
      trust,
      steady,
      ender,
      keyEnder,
      inHand,
      sessions,
      holds,
      recorder,
      hostOf: (id) => registry.hostOf(id),
      tuning,
      clock,
      random,
      log,
    });
    closers.push(async () => {
      await listeners.close("the gateway is being stopped: connect again shortly");
      await admission.settle();
      await ender.idle(AbortSignal.timeout(tuning.stopMs));
      await keyEnder.close();
    });
    const desk = new TaskDesk({ store, spool, issuer, runner, holds, ender, keyEnder, registry, tuning, log });
    closers.push(() => desk.close());
    closers.push(() => {
      registry.stop();
      return Promise.resolve();
    });

    const link = new LinkClient({
      address,
      keys,
      membership,
      store,
      spool,
      recordings: recorder.spool,
      tuning,
      random,
      log,
      work: {
        clock,
        task: (task) => desk.take(task),
        state: async (state) => {
          const accepted = await trust.accept(state);
          if (!accepted.ok)
            log.error({ code: accepted.code }, `the control plane's state is refused: ${accepted.detail}`);
          else memory.note(steady.deadlineMs());
          if (accepted.ok && state.recordingKey !== undefined) await recorder.useKey(state.recordingKey);
          return accepted.ok;
        },
        reports: () => registry.reports(),
        counts: () => leaseCounts(store),
        checkpointSize: () => trust.checkpointSize,
      },
    });
    closers.push(() => link.close());

    await holds.start();
    await resolver.start();
    await keyEnder.start();
    ender.start();
    await listeners.open(admission);
    registry.start({
      report: (report) => link.report(report),
      answered: (host, signal) => reconciler.reconcile(host, signal),
    });
    link.start();
    log.info(
      { outpost: membership.outpost, name: membership.name, version: settings.version, leases: leaseCounts(store) },
      "leases are being kept",
    );
    closers.push(startSweeping(store, clock, log));
    return { id: membership.outpost, name: membership.name, connected: () => link.connected, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Forgets grants that are long over, and what no key rests on. Answers with the way to end it. */
function startSweeping(store: Store, clock: Clock, log: Logger): () => Promise<void> {
  let sweeping: Promise<void> = Promise.resolve();
  let closed = false;
  const sweep = async (): Promise<void> => {
    while (!closed && (await sweepGrants(store, clock.now())));
    if (!closed) await store.write(() => sweepDocuments(store));
  };
  const timer = setInterval(() => {
    sweeping = sweeping
      .then(sweep)
      .catch((error: unknown) => log.error({ err: error }, "old grants could not be forgotten"));
  }, sweepEveryMs);
  return async () => {
    closed = true;
    clearInterval(timer);
    await sweeping;
  };
}
