/**
 * One resource as the rest of the outpost meets it: its provider behind bounded time and a breaker, room for issuing that endings cannot take,
 * and what the last look found. A resource that is not configured any more, but still has leases, is a host without a provider.
 */
import type { ActionProvider, BehindGateway, Inspection, Provider } from "@cardea/connectors/connector";
import { CardeaError, OutsideError } from "@cardea/core/contract/errors";
import type { ResourceId } from "@cardea/core/contract/ids";
import type { ResourceReport } from "@cardea/core/wire/link";
import type { Digest } from "@cardea/core/documents/digest";
import type { PublicPrivileges } from "@cardea/core/documents/public-privileges";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { Signature } from "@cardea/core/documents/signature";
import { refused, type Refused } from "@cardea/core/lib/result";
import { Breaker, type BreakerOptions } from "./breaker.ts";
import { Lane } from "./lane.ts";

export interface HostOptions {
  readonly id: ResourceId;
  readonly name: string;
  /** Absent where the resource is not configured, or its configuration is invalid. */
  readonly provider?: Provider;
  /** Calls at once, from the connector's capabilities. */
  readonly concurrency: number;
  readonly markKey: Uint8Array;
  readonly breaker: Omit<BreakerOptions, "onOpen">;
  readonly onTrouble: () => void;
}

/** What was found, and as what it was signed. */
export interface Found {
  readonly inspection: Inspection;
  /** Absent where the inventory is too long for a report; the specification names its digest all the same. */
  readonly publicPrivileges: PublicPrivileges | undefined;
  readonly spec: ResourceSpec;
  readonly specDigest: Digest;
  readonly specSignature: Signature;
}

const maxRuns = 8;
/** A provider that answers its abort late is not waited for longer than this. */
const graceMs = 2_000;

export class ResourceHost {
  readonly id: ResourceId;
  readonly name: string;
  readonly markKey: Uint8Array;
  readonly breaker: Breaker;
  /** Half of the room is for issuing alone, so that a storm of endings never blocks it. */
  readonly issuing: Lane;
  /** Actions that run with logins of their own, which take as long as they take. */
  readonly running: Lane;
  /** The other half; where the provider ends many at the price of one, as many as it says. */
  readonly endings: number;
  readonly #provider: Provider | undefined;
  readonly #waiting = new Set<() => void>();
  #found: Found | undefined;
  #fault: CardeaError | undefined;

  constructor({ id, name, provider, concurrency, markKey, breaker, onTrouble }: HostOptions) {
    this.id = id;
    this.name = name;
    this.markKey = markKey;
    this.#provider = provider;
    this.issuing = new Lane(Math.max(1, Math.ceil(concurrency / 2)));
    this.running = new Lane(maxRuns);
    this.endings = provider?.endsTogether ?? Math.max(1, Math.floor(concurrency / 2));
    this.breaker = new Breaker({ ...breaker, onOpen: onTrouble });
  }

  /** What gateways need of it; absent where there is no gateway of its kind. */
  get behindGateway(): BehindGateway | undefined {
    return this.#provider?.behindGateway;
  }

  /** Whether single actions can be asked for. */
  get runsActions(): boolean {
    return this.#provider?.actions !== undefined;
  }

  get found(): Found | undefined {
    return this.#found;
  }

  /** What the last look found, or why it failed. */
  note(outcome: Found | CardeaError): void {
    if (outcome instanceof CardeaError) this.#fault = outcome;
    else {
      this.#found = outcome;
      this.#fault = undefined;
    }
    for (const looked of this.#waiting) looked();
  }

  /** Waits for the first look's outcome, or the signal: right after a start nothing is known of the resource yet. */
  async lookedAt(signal: AbortSignal): Promise<void> {
    if (this.#found !== undefined || this.#fault !== undefined || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  /** Why nothing can be issued here now. */
  whyNotIssuing(): Refused<CardeaError["code"]> | undefined {
    if (this.breaker.open)
      return refused("resource_busy", `\`${this.name}\` could not be reached several times; it is tried again shortly`);
    if (this.#fault !== undefined) return refused(this.#fault.code, this.#fault.message);
    if (this.#found === undefined)
      return refused("resource_unreachable", `\`${this.name}\` has not been looked at yet`);
    const [missing] = this.#found.inspection.missing;
    if (missing !== undefined)
      return refused("resource_privilege_missing", `the administrator of \`${this.name}\` lacks: ${missing.what}`);
    return undefined;
  }

  /** Calls the provider within the time, and has the breaker learn from it. @throws OutsideError, CardeaError */
  async call<T>(
    what: string,
    timeoutMs: number,
    signal: AbortSignal,
    work: (provider: Provider, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#provider === undefined) {
      const fault =
        this.#fault ??
        new OutsideError("resource_unreachable", "none", `\`${this.name}\` is not configured at this outpost any more`);
      this.breaker.failed("resource_unreachable");
      throw fault;
    }
    this.breaker.begin();
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), timeoutMs);
    try {
      const result = await Promise.race([
        work(this.#provider, AbortSignal.any([signal, late.signal])),
        this.#abandon(what, late.signal),
      ]);
      this.breaker.succeeded();
      return result;
    } catch (error) {
      const fault = this.#faultOf(what, error);
      this.breaker.failed(fault.code);
      throw fault;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The same for exact actions. @throws CardeaError `action_refused` where none can be asked for */
  async callActions<T>(
    what: string,
    timeoutMs: number,
    signal: AbortSignal,
    work: (actions: ActionProvider, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return await this.call(what, timeoutMs, signal, ({ actions }, within) => {
      if (actions === undefined)
        throw new CardeaError("action_refused", `single actions cannot be asked for at \`${this.name}\``);
      return work(actions, within);
    });
  }

  async close(): Promise<void> {
    await this.#provider?.close();
  }

  report(): ResourceReport {
    const found = this.#found;
    const fault = this.#fault;
    return {
      resource: this.id,
      name: this.name,
      state: this.#state(),
      missing: found === undefined ? [] : found.inspection.missing.slice(0, 100),
      warnings:
        found === undefined ? [] : found.inspection.warnings.slice(0, 100).map((warning) => warning.slice(0, 1_000)),
      ...(found !== undefined && {
        spec: found.spec,
        specSignature: found.specSignature,
        ...(found.publicPrivileges !== undefined && { publicPrivileges: found.publicPrivileges }),
        version: found.inspection.version,
      }),
      ...(fault !== undefined && { detail: `${fault.code}: ${fault.message}`.slice(0, 1_000) }),
    };
  }

  #state(): ResourceReport["state"] {
    if (this.#fault !== undefined) return unreachableCodes.has(this.#fault.code) ? "unreachable" : "invalid";
    if (this.#found === undefined) return "unreachable";
    return this.#found.inspection.missing.length > 0 ? "degraded" : "ready";
  }

  #abandon(what: string, late: AbortSignal): Promise<never> {
    return new Promise((_, reject) => {
      late.addEventListener("abort", () => {
        setTimeout(
          () => reject(new OutsideError("resource_timeout", "maybe", `${what} at \`${this.name}\` took too long`)),
          graceMs,
        ).unref();
      });
    });
  }

  #faultOf(what: string, error: unknown): CardeaError {
    if (error instanceof CardeaError) return error;
    const words = error instanceof Error && error.name === "AbortError" ? "was stopped" : "failed";
    return new OutsideError(
      words === "failed" ? "resource_fault" : "resource_timeout",
      "maybe",
      `${what} at \`${this.name}\` ${words}`,
      { cause: error },
    );
  }
}

const unreachableCodes: ReadonlySet<string> = new Set([
  "resource_unreachable",
  "resource_timeout",
  "resource_unauthorized",
  "resource_fault",
  "resource_busy",
]);
