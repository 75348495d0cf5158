/**
 * The resources of this outpost: from `outpost.yaml` and from configurations that came sealed over the link. Opens a provider for each, looks at
 * it at the start, from time to time and after trouble, signs what it found, and has it compared with the leases. It decides nothing about grants.
 */
import type { Logger } from "pino";
import type { ProviderLog } from "@cardea/connectors/connector";
import type { SealedKey } from "@cardea/core/wire/delivery";
import { CardeaError, OutsideError } from "@cardea/core/contract/errors";
import type { OutpostId, ResourceId } from "@cardea/core/contract/ids";
import type { ConfigurationAuthority, ResourceReport, TaskResult } from "@cardea/core/wire/link";
import { configureInfo, markKeyOf, resourceIdOf } from "@cardea/core/contract/outpost-marks";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { digestOf } from "@cardea/core/documents/digest";
import { PublicPrivileges } from "@cardea/core/documents/public-privileges";
import { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import { fromBase64Url } from "@cardea/core/lib/base64url";
import { signAsOutpost, type Keys, type Membership } from "../identity.ts";
import { backoffMs } from "../jitter.ts";
import { openSealed } from "../sealing.ts";
import type { Tuning } from "../settings.ts";
import { hasKeys } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import type { Monotonic } from "../trust/monotonic.ts";
import { judgeAuthority } from "./authority.ts";
import { readEntry, secretsFor, type Configured, type Connectors, type Entry, type SecretSource } from "./config.ts";
import { ResourceHost, type Found } from "./host.ts";
import { Lane } from "./lane.ts";
import { withoutGateway } from "./offer.ts";

export interface RegistryOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly membership: Membership;
  readonly connectors: Connectors;
  /** Entries of `outpost.yaml`, and where it is: secrets lie beside it. */
  readonly entries: readonly Entry[];
  readonly configFile: string | undefined;
  /** Kinds that have a gateway at this outpost. */
  readonly gatewayKinds: ReadonlySet<string>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly tuning: Tuning;
  readonly clock: Clock;
  readonly random: Random;
  readonly monotonic: Monotonic;
  readonly log: Logger;
}

/** What the registry tells, and what it has done after each good look. */
export interface RegistryListener {
  /** What was found has changed. */
  report(report: ResourceReport): void;
  /** A resource answered: now its logins can be compared with the leases. */
  answered(host: ResourceHost, signal: AbortSignal): Promise<void>;
}

/** A resource that does not answer is looked at again after this, and later and later. */
const troubledMs = { first: 2_000, max: 60_000 };

interface Kept {
  readonly host: ResourceHost;
  readonly configured: Configured | undefined;
  readonly source: SecretSource["from"];
  failures: number;
  reconciledMs: number | undefined;
  reported: string;
  timer: NodeJS.Timeout | undefined;
  looking: Promise<void> | undefined;
}

export class Registry {
  readonly #options: RegistryOptions;
  readonly #markSeed: Uint8Array;
  readonly #kept = new Map<ResourceId, Kept>();
  /** Hosts of resources that are not configured, but of which something is left. */
  readonly #orphans = new Map<ResourceId, ResourceHost>();
  readonly #controlKey: Uint8Array;
  readonly #configuring = new Lane(1);
  readonly #closing = new AbortController();
  #listener: RegistryListener | undefined;

  private constructor(options: RegistryOptions) {
    this.#options = options;
    this.#markSeed = fromBase64Url(options.membership.markSeed);
    this.#controlKey = fromBase64Url(options.membership.trust.controlKey);
  }

  /** Opens everything that is configured; looks at nothing yet. */
  static async open(options: RegistryOptions): Promise<Registry> {
    const registry = new Registry(options);
    const { configFile, entries, store } = options;
    for (const entry of entries) registry.#keep(entry, { from: "file", path: configFile ?? "" });
    const sealed = [...store.configurations.getRange({})];
    for (const { key, value } of sealed) {
      if (registry.#kept.has(registry.idOf(key)))
        options.log.warn(
          { resource: key },
          "a resource of `outpost.yaml` hides a configuration that came over the link",
        );
      else registry.#keep(await registry.#unseal(key, value), { from: "link" });
    }
    return registry;
  }

  /** Begins to look. */
  start(listener: RegistryListener): void {
    this.#listener = listener;
    for (const kept of this.#kept.values()) this.#lookSoon(kept, 0);
  }

  get self(): OutpostId {
    return this.#options.membership.outpost;
  }

  idOf(name: string): ResourceId {
    return resourceIdOf(this.#markSeed, name);
  }

  /** A configured resource. */
  hostOf(id: ResourceId): ResourceHost | undefined {
    return this.#kept.get(id)?.host;
  }

  /** Any resource of which there may be leases. */
  hostFor(id: ResourceId): ResourceHost {
    const known = this.#kept.get(id)?.host ?? this.#orphans.get(id);
    if (known !== undefined) return known;
    const orphan = this.#host(id, id, undefined, { from: "link" });
    this.#orphans.set(id, orphan);
    return orphan;
  }

  reports(): ResourceReport[] {
    return [...this.#kept.values()].map(({ host }) => host.report());
  }

  /** Looks at once and answers with what was found. @throws CardeaError `resource_unknown` */
  async check(name: string): Promise<ResourceReport> {
    const kept = this.#kept.get(this.idOf(name));
    if (kept === undefined) throw new CardeaError("resource_unknown", `\`${name}\` is not configured at this outpost`);
    // A look under way may have seen what was so before the question.
    await kept.looking;
    await this.#look(kept);
    return kept.host.report();
  }

  /**
   * Does what the control plane signed: takes in a configuration, or forgets it. One at a time, so that of two the newer stays; it is
   * noted as seen before anything else, so that an older one is refused from then on whatever becomes of this one.
   * @throws CardeaError `configuration_invalid`, `configuration_stale`, `resource_config_invalid`, `resource_in_use`
   */
  async configure(authority: ConfigurationAuthority, sealed: SealedKey | undefined): Promise<TaskResult> {
    const kept = await this.#configuring.run(this.#closing.signal, async () => {
      const { store } = this.#options;
      const { resource, name } = authority.document;
      const judged = judgeAuthority(authority, sealed, {
        self: this.self,
        controlKey: this.#controlKey,
        resource: this.idOf(name),
        known: store.configured.get(resource),
      });
      if (!judged.ok) throw new CardeaError(judged.code, judged.detail);
      await store.write(() => store.configured.putSync(resource, judged.value.known));
      if (sealed !== undefined) return await this.#takeIn(resource, name, sealed);
      await this.#forget(resource, name);
      return undefined;
    });
    if (kept === undefined) return { type: "removed", resource: authority.document.resource };
    await this.#look(kept);
    return { type: "configured", report: kept.host.report() };
  }

  /** The configuration before goes on until the new one is kept. */
  async #takeIn(id: ResourceId, name: string, sealed: SealedKey): Promise<Kept> {
    const before = this.#kept.get(id);
    if (before?.source === "file")
      throw new CardeaError(
        "resource_config_invalid",
        `\`${name}\` is configured in \`outpost.yaml\` of this outpost; change it there`,
      );
    const entry = await this.#unseal(name, sealed);
    if (!entry.configured.ok) throw new CardeaError("resource_config_invalid", entry.configured.detail);
    await this.#options.store.write(() => this.#options.store.configurations.putSync(name, sealed));
    const kept = this.#keep(entry, { from: "link" });
    if (before !== undefined) await this.#discard(before);
    return kept;
  }

  /** What is forgotten already stays so: a crash may have come before the receipt. */
  async #forget(id: ResourceId, name: string): Promise<void> {
    const { store } = this.#options;
    const kept = this.#kept.get(id);
    if (kept?.source === "file")
      throw new CardeaError(
        "resource_config_invalid",
        `\`${name}\` is configured in \`outpost.yaml\` of this outpost; remove it there`,
      );
    const left = store.names.getKeysCount({ start: [id, ""], end: [id, "~"], limit: 1 });
    if (left > 0 || hasKeys(store, id))
      throw new CardeaError("resource_in_use", `\`${name}\` still has keys; revoke them first`);
    await store.write(() => store.configurations.removeSync(name));
    this.#kept.delete(id);
    if (kept !== undefined) await this.#discard(kept);
  }

  /** Stops looking: what is being looked at is abandoned. */
  stop(): void {
    this.#closing.abort();
  }

  async close(): Promise<void> {
    this.stop();
    await Promise.all([...this.#kept.values()].map((kept) => this.#discard(kept)));
  }

  async #discard(kept: Kept): Promise<void> {
    clearTimeout(kept.timer);
    await kept.looking;
    await kept.host.close();
  }

  #keep(entry: Entry, source: SecretSource): Kept {
    const id = this.idOf(entry.name);
    const configured = entry.configured.ok ? entry.configured.value : undefined;
    const host = this.#host(id, entry.name, configured, source);
    if (!entry.configured.ok) {
      host.note(new CardeaError("resource_config_invalid", entry.configured.detail));
      this.#options.log.error({ resource: entry.name }, entry.configured.detail);
    }
    const kept: Kept = {
      host,
      configured,
      source: source.from,
      failures: 0,
      reconciledMs: undefined,
      reported: "",
      timer: undefined,
      looking: undefined,
    };
    this.#kept.set(id, kept);
    return kept;
  }

  #host(id: ResourceId, name: string, configured: Configured | undefined, source: SecretSource): ResourceHost {
    const { clock, random, monotonic, tuning, environment, log } = this.#options;
    const markKey = markKeyOf(this.#markSeed, id);
    const provider = configured?.connector.open(configured.config, {
      clock,
      random,
      markKey,
      secret: secretsFor(source, environment),
      log: providerLog(log, name),
    });
    return new ResourceHost({
      id,
      name,
      markKey,
      concurrency: configured?.connector.spec.capabilities.concurrency ?? 1,
      breaker: { after: tuning.breakerAfter, pauseMs: tuning.breakerMs, monotonic, random },
      onTrouble: () => {
        const kept = this.#kept.get(id);
        if (kept !== undefined) this.#lookSoon(kept, 0);
      },
      ...(provider !== undefined && { provider }),
    });
  }

  #lookSoon(kept: Kept, afterMs: number): void {
    if (this.#closing.signal.aborted || this.#listener === undefined) return;
    clearTimeout(kept.timer);
    kept.timer = setTimeout(() => {
      this.#look(kept).catch((error: unknown) =>
        this.#options.log.error({ err: error, resource: kept.host.name }, "a look failed"),
      );
    }, afterMs);
  }

  /** One look at a time; whoever asks meanwhile gets its outcome. */
  #look(kept: Kept): Promise<void> {
    kept.looking ??= this.#lookNow(kept).finally(() => {
      kept.looking = undefined;
      if (this.#kept.get(kept.host.id) === kept) this.#lookSoon(kept, this.#pauseMs(kept));
    });
    return kept.looking;
  }

  #pauseMs({ failures }: Kept): number {
    const { tuning, random } = this.#options;
    return failures === 0 ? tuning.inspectEveryMs : backoffMs(troubledMs, failures - 1, random);
  }

  async #lookNow(kept: Kept): Promise<void> {
    const { host, configured } = kept;
    if (configured !== undefined) {
      try {
        const { tuning } = this.#options;
        const inspection = await host.call("looking", tuning.inspectMs, this.#closing.signal, (provider, signal) =>
          provider.inspect(signal),
        );
        host.note(this.#signed(host, configured, inspection));
        kept.failures = 0;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        kept.failures++;
        const fault =
          error instanceof CardeaError
            ? error
            : new OutsideError("resource_fault", "maybe", "looking failed", { cause: error });
        host.note(fault);
        this.#options.log.warn({ resource: host.name, code: fault.code, err: fault }, "a resource cannot be used");
      }
    }
    this.#tell(kept);
    if (kept.failures === 0 && configured !== undefined) await this.#reconcile(kept, configured);
  }

  async #reconcile(kept: Kept, { connector }: Configured): Promise<void> {
    const { monotonic, tuning, log } = this.#options;
    const due = kept.reconciledMs === undefined || monotonic.nowMs() - kept.reconciledMs >= tuning.reconcileEveryMs;
    if (!connector.spec.capabilities.listsOwn || !due) return;
    try {
      await this.#listener?.answered(kept.host, this.#closing.signal);
      kept.reconciledMs = monotonic.nowMs();
    } catch (error) {
      if (!this.#closing.signal.aborted)
        log.warn({ resource: kept.host.name, err: error }, "logins could not be compared with leases");
    }
  }

  #tell(kept: Kept): void {
    const report = kept.host.report();
    const text = canonicalJson(report);
    if (text === kept.reported) return;
    kept.reported = text;
    this.#listener?.report(report);
  }

  #signed(host: ResourceHost, { config, connector }: Configured, inspection: Found["inspection"]): Found {
    const { keys, gatewayKinds } = this.#options;
    const { capabilities } = connector.spec;
    const { roles } = inspection;
    const offer = gatewayKinds.has(config.kind) ? { capabilities, roles } : withoutGateway({ capabilities, roles });
    const kept = PublicPrivileges.safeParse(inspection.publicPrivileges);
    const spec = ResourceSpec.parse({
      v: 1,
      id: host.id,
      name: config.name,
      kind: config.kind,
      outpost: this.self,
      labels: config.labels,
      owners: { groups: [...config.owners.groups] },
      ...offer,
      publicPrivileges: digestOf("public-privileges", inspection.publicPrivileges),
    });
    const specDigest = digestOf("spec", spec);
    return {
      inspection,
      publicPrivileges: kept.success ? kept.data : undefined,
      spec,
      specDigest,
      specSignature: signAsOutpost(keys, specDigest),
    };
  }

  async #unseal(name: string, sealed: SealedKey): Promise<Entry> {
    const { keys, connectors } = this.#options;
    const refuse = (detail: string): Entry => ({
      name,
      configured: { ok: false, code: "resource_config_invalid", detail },
    });
    const opened = await openSealed(keys.seal.privateKey, configureInfo, name, sealed);
    if (opened === undefined)
      return refuse(`the configuration of \`${name}\` was not sealed to this outpost's key, or for another name`);
    let entry: Entry;
    try {
      entry = readEntry(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(opened)), name, connectors);
    } catch {
      return refuse(`the configuration of \`${name}\` is not JSON`);
    }
    return entry.name === name
      ? entry
      : refuse(`the configuration names \`${entry.name}\`, and was sent for \`${name}\``);
  }
}

function providerLog(log: Logger, resource: string): ProviderLog {
  const own = log.child({ resource });
  return {
    debug: (fields, message) => own.debug(fields, message),
    info: (fields, message) => own.info(fields, message),
    warn: (fields, message) => own.warn(fields, message),
  };
}
