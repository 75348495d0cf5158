/**
 * The port between Cardea and one kind of resource. A connector is a `ConnectorSpec` (pure: configuration, roles, capabilities) and a
 * `Provider` (creates, ends and lists native logins at one real resource). The outpost calls both; the control plane imports only specs.
 * Providers are idempotent, keep no state that matters, and say of every outside fault whether it may have happened (`OutsideError`).
 */
import type { z } from "zod";
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import type { LeaseId } from "@cardea/core/contract/ids";
import type { MissingPrivilege } from "@cardea/core/wire/link";
import type { PublicPrivileges } from "@cardea/core/documents/public-privileges";
import type { Capabilities, RoleSpec } from "@cardea/core/documents/resource-spec";
import type { Pattern } from "@cardea/core/documents/pattern";
import type { Action } from "@cardea/core/documents/request";
import type { JsonValue, Via } from "@cardea/core/documents/primitives";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import type { Result } from "@cardea/core/lib/result";
import type { Arrival, Gateway, GatewayHost, GatewaySurroundings } from "./gateway.ts";
import type { SecureContext } from "node:tls";

/** What every resource's configuration has, whatever its kind (one entry of `outpost.yaml`). */
export interface ResourceConfig {
  readonly name: string;
  readonly kind: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly owners: { readonly groups: readonly string[] };
}

export interface ConnectorSpec<Config extends ResourceConfig> {
  readonly kind: string;
  /** Parses one entry of `outpost.yaml`. Secrets in it are references (`{ env }`, `{ file }`) or values, resolved by `resolve`. */
  readonly schema: z.ZodType<Config>;
  readonly capabilities: Capabilities;
  /** Every action name that its patterns may use. */
  readonly actionNames: readonly string[];
  /** An action's parameters as a gateway records them, in their order and for people to read; `undefined` for what does not have their form. */
  readonly readParameters?: (bytes: Uint8Array) => readonly JsonValue[] | undefined;
}

/** What a provider gets from its host and from nowhere else. */
export interface ProviderHost {
  readonly clock: Clock;
  readonly random: Random;
  /** The resource's mark key, 32 bytes (see `core/contract/native-name.ts`). */
  readonly markKey: Uint8Array;
  /** Reads a secret's reference from the configuration; the value never reaches a log. */
  readonly secret: (reference: SecretReference) => Promise<string>;
  readonly log: ProviderLog;
}

export type SecretReference = { readonly env: string } | { readonly file: string } | { readonly value: string };

export interface ProviderLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** What a resource was found to be. */
export interface Inspection {
  readonly version: string;
  readonly roles: Readonly<Record<string, RoleSpec>>;
  /** What the administrator lacks; while it is not empty nothing is issued. */
  readonly missing: readonly MissingPrivilege[];
  readonly warnings: readonly string[];
  /** The inventory of what every login has anyway: the same for as long as nothing changes, since its digest goes into the spec. */
  readonly publicPrivileges: PublicPrivileges;
  /** Existing native roles that could be offered as roles. */
  readonly offers: readonly { readonly nativeRole: string; readonly safeForDirect: boolean; readonly why?: string }[];
}

/** What is to be made. The intent is durable before `create` is called. */
export interface LeaseOrder {
  readonly lease: LeaseId;
  /** From `newNativeName`; carries mark and deadline. */
  readonly nativeName: string;
  readonly notAfterMs: number;
  readonly role: string;
  /** Effective patterns; narrower than the role's where approvers narrowed. */
  readonly patterns: readonly Pattern[];
  /** Sessions open at once. */
  readonly sessions?: number;
  /**
   * `gateway`: the login is one session's, whose every action Cardea judges, so a role may be given that is too much for a holder who speaks to
   * the resource directly, and native privileges may be wider than `patterns` where they cannot say the same. Default: `direct`.
   */
  readonly via?: Via;
}

export interface CreatedLogin {
  /** Without `via`, `kind` and `notAfter`, which the host knows. */
  readonly user: string;
  readonly secret: string;
  readonly endpoint: DeliveredKey["endpoint"];
}

/** Something at the resource that bears the form of our names. */
export interface OwnObject {
  readonly nativeName: string;
  readonly what: "login" | "bundle" | "holder";
  readonly deadlineMs: number;
  readonly sessions: number;
}

export interface Listing {
  readonly ours: readonly OwnObject[];
  /** Names with our form whose mark does not verify: reported, never touched. */
  readonly forged: readonly string[];
}

/** How an ending went. Anything found that the login left behind or altered about itself is misuse. */
export interface Ended {
  readonly closedSessions: number;
  readonly misuse: readonly string[];
}

/**
 * One real resource. All methods are idempotent, take an `AbortSignal`, bound their own time, and throw only `OutsideError`
 * (faults of the resource) or `CardeaError` (`resource_…` codes).
 */
export interface Provider {
  /** Looks at the resource; makes nothing. */
  inspect(signal: AbortSignal): Promise<Inspection>;
  /**
   * Makes the login. Calling it again for the same order after a fault either finds it unmade or replaces its secret; it never
   * makes two.
   */
  create(order: LeaseOrder, signal: AbortSignal): Promise<CreatedLogin>;
  /** Shut, close, remove. Ending what does not exist succeeds. Throws `lease_stuck` where something cannot be moved. */
  end(nativeName: string, signal: AbortSignal): Promise<Ended>;
  /**
   * How many calls of `end` may wait at once. A provider that ends those which wait together at the price of one says more than its calls at once;
   * default: half of these.
   */
  readonly endsTogether?: number;
  /** Removes unused bundles and lists what bears our mark. */
  listOwn(signal: AbortSignal): Promise<Listing>;
  /** What a gateway needs to know of the resource; absent where the connector has no gateway. */
  readonly behindGateway?: BehindGateway;
  /** Exact actions; absent where none can be asked for. */
  readonly actions?: ActionProvider;
  close(): Promise<void>;
}

/** Where the gateways of a kind are reached, for those who hold a key. */
export interface GatewayAddress {
  readonly host: string;
  readonly port: number;
  /** How a client knows the gateway: by an authority of its own (PEM), by one that everybody knows, or not at all. */
  readonly tls: { readonly ca: string } | "public" | "none";
}

/** What is known of an action before anybody approves it. */
export interface Preview {
  /** With its name, and a binding that says all that it touches and what its names stand for now. */
  readonly action: Action;
  /** Not part of the binding, since it changes by itself: what the approver sees besides. */
  readonly estimate?: { readonly rows: number };
}

/** One exact action that was approved, for one run. */
export interface ActionOrder {
  readonly lease: LeaseId;
  /** The login that runs it: a session's, or one that the run makes for itself. */
  readonly nativeName: string;
  readonly notAfterMs: number;
  /** As it was approved, its binding included. */
  readonly action: Action;
}

/** How a run outside a session went. Rows are what the requester asked for, as JSON. */
export interface ActionOutcome {
  readonly outcome: "done" | "failed" | "unknown";
  readonly rows?: number;
  readonly error?: { readonly code: string; readonly message: string };
  /** The answer in the connector's form, UTF-8 JSON: `{ columns, rows, command }` for SQL. */
  readonly result?: Uint8Array;
}

/** Exact actions: seen before they are approved, and done once afterwards, with privileges that exist only meanwhile. */
export interface ActionProvider {
  /**
   * Says what the action is and touches; changes nothing.
   * @throws CardeaError `action_refused` where it cannot be asked for, with the reason and what to do instead; `invalid_request` for a malformed one
   */
  preview(action: Pick<Action, "type" | "what">, signal: AbortSignal): Promise<Preview>;
  /**
   * Lends a session's login what this action needs; `as`: the native role under which it has to run. Idempotent.
   * @throws CardeaError `action_refused` where the resource cannot lend it, `resource_…`
   */
  lend(order: ActionOrder, signal: AbortSignal): Promise<{ readonly as?: string }>;
  /** Takes back what `lend` gave, whether or not it gave anything. Idempotent. */
  takeBack(order: ActionOrder, signal: AbortSignal): Promise<void>;
  /**
   * Makes the login of the order, runs the action once and answers; whoever calls ends the login afterwards by `end`, whatever came of it.
   * Before anything is sent that may have an effect, `started` makes that durable. What the action's names stand for is looked at again first.
   * @throws CardeaError `binding_changed`, `action_refused`, `resource_…`: then it did not happen
   */
  run(
    order: ActionOrder,
    started: (trace: string | undefined) => Promise<void>,
    signal: AbortSignal,
  ): Promise<ActionOutcome>;
  /** Looks what came of a run whose end nobody saw; `unknown` where the resource cannot say (yet). */
  resolve(trace: string, signal: AbortSignal): Promise<"done" | "failed" | "unknown">;
}

/** What a resource's configuration says about sessions behind a gateway. */
export interface GatewayTerms {
  /** Sessions open at once, of all keys. */
  readonly sessionsMax?: number;
  /** How long a held action waits for its approval. */
  readonly holdMs: number;
  /** The same inside an open transaction, which holds locks. */
  readonly transactionHoldMs: number;
  readonly recordsOutput: boolean;
}

export interface BehindGateway {
  readonly terms: GatewayTerms;
  /** What a delivered key's endpoint says. */
  endpoint(address: GatewayAddress): DeliveredKey["endpoint"];
  /** How a session reaches what its client asked for, once a login is made for it; refused where there is no such thing. */
  reach(arrival: Pick<Arrival, "database" | "resource">): Promise<Result<(login: CreatedLogin) => unknown>>;
}

/** What a listener is opened with, whatever the wire. */
export interface ListenerSettings {
  readonly tls?: { secureContext(): SecureContext };
  readonly requireTls: boolean;
  /** Networks (CIDR) of proxies that name the client. */
  readonly proxies: readonly string[];
}

export interface Connector<Config extends ResourceConfig = ResourceConfig> {
  readonly spec: ConnectorSpec<Config>;
  open(config: Config, host: ProviderHost): Provider;
  /** Opens a gateway, for all resources of the kind. What `host` admits is reached as this connector's own providers said. */
  gateway?(host: GatewayHost<unknown>, settings: ListenerSettings, surroundings: GatewaySurroundings): Promise<Gateway>;
}
