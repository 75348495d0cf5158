/**
 * One real PostgreSQL server: makes, ends and lists the logins that Cardea gives out. The outpost opens one provider a resource and is
 * the only caller. It keeps nothing that matters in memory: what bears our mark at the server explains itself, and an ending is the
 * same after a crash. It never touches a role that is not ours, and of those of others' making only their memberships.
 */
import type {
  ActionProvider,
  BehindGateway,
  CreatedLogin,
  Ended,
  Inspection,
  LeaseOrder,
  Listing,
  Provider,
  ProviderHost,
} from "../../connector.ts";
import type { PostgresConfig } from "../spec/config.ts";
import { PostgresActions } from "./actions.ts";
import { behindGateway } from "./behind-gateway.ts";
import { readAdmin, type Admin } from "./admin.ts";
import { createLogin, type LoginOrder } from "./create.ts";
import { EndBatch } from "./end-batch.ts";
import { endLogins, type EndContext } from "./end.ts";
import { asMaybe } from "./faults.ts";
import { inspect } from "./inspect.ts";
import { KeyedLock } from "./keyed-lock.ts";
import { loginsEach, Makers } from "./makers.ts";
import { membershipOf, nativeRolesOf, type Membership } from "./membership.ts";
import { listOwn } from "./list-own.ts";
import { Server } from "./server.ts";

/** An ending goes on when who asked for it stops waiting, for this long at most. */
const endingMs = 60_000;

/** What an administrator may do changes rarely and by hand. */
const adminKeptMs = 60_000;

export class PostgresProvider implements Provider {
  readonly behindGateway: BehindGateway;
  readonly actions: ActionProvider;
  /** See `end-batch.ts`. */
  readonly endsTogether = 500;
  readonly #config: PostgresConfig;
  readonly #host: ProviderHost;
  readonly #server: Server;
  readonly #ends: EndBatch;
  readonly #makers: Makers;
  readonly #memberRoles: ReadonlySet<string>;
  readonly #names = new KeyedLock();
  readonly #inUse = new Map<string, number>();
  readonly #beingRemoved = new Map<string, Promise<unknown>>();
  #admin: { readonly value: Admin; readonly untilMs: number } | undefined;

  /** `ownLogins`: how many logins are made before makers come into play; see `makers.ts`. */
  constructor(config: PostgresConfig, host: ProviderHost, ownLogins: number = loginsEach) {
    this.#config = config;
    this.#host = host;
    this.behindGateway = behindGateway(config, host);
    this.#server = new Server(config, host);
    this.#makers = new Makers(this.#server, host.markKey, ownLogins);
    this.#memberRoles = new Set(Object.values(config.roles).flatMap((role) => ("member" in role ? role.member : [])));
    this.actions = new PostgresActions({
      server: this.#server,
      config,
      host,
      memberRoles: this.#memberRoles,
      admin: (signal) => this.#adminOf(signal),
      create: (order, membership, signal) => this.#create(order, membership, signal),
      exclusively: (name, roles, work) => this.#names.run(name, () => this.#using(roles, work)),
    });
    this.#ends = new EndBatch(async (names) => {
      const signal = AbortSignal.timeout(endingMs);
      return endLogins(await this.#context(signal), names, signal);
    });
  }

  async inspect(signal: AbortSignal): Promise<Inspection> {
    this.#admin = undefined;
    return inspect(this.#server, await this.#adminOf(signal), this.#config, this.#host, signal);
  }

  async create(order: LeaseOrder, signal: AbortSignal): Promise<CreatedLogin> {
    return this.#create(order, membershipOf(this.#config, this.#host.markKey, order), signal);
  }

  async #create(order: LoginOrder, membership: Membership, signal: AbortSignal): Promise<CreatedLogin> {
    const admin = await this.#adminOf(signal);
    const maker = await this.#makers.take(admin, signal);
    const make = async (): Promise<CreatedLogin> =>
      createLogin(
        {
          server: this.#server,
          admin,
          makers: this.#makers,
          maker,
          config: this.#config,
          host: this.#host,
          end: (name) => this.#undo(name),
        },
        order,
        membership,
        signal,
      );
    const uses = [
      ...(membership.kind === "bundle" ? nativeRolesOf(membership) : []),
      ...(maker === undefined ? [] : [maker]),
    ];
    try {
      return await this.#names.run(order.nativeName, () => this.#using(uses, make));
    } catch (error) {
      this.#makers.giveBack(maker, 1);
      throw error;
    }
  }

  async end(nativeName: string, signal: AbortSignal): Promise<Ended> {
    return this.#names.run(nativeName, () => this.#ends.end(nativeName, signal));
  }

  /** Takes back what `create` made, also when its caller no longer waits. */
  async #undo(nativeName: string): Promise<void> {
    try {
      const { misuse } = await this.#ends.end(nativeName, AbortSignal.timeout(endingMs));
      // Nobody had this login, so what was found belongs to another key of the same role.
      if (misuse.length > 0)
        this.#host.log.warn({ nativeName, misuse }, "traces of misuse were found while a login was taken back");
    } catch (error) {
      throw asMaybe(error);
    }
  }

  async listOwn(signal: AbortSignal): Promise<Listing> {
    const unlessInUse = (role: string, work: () => Promise<boolean>): Promise<boolean> => this.#unlessInUse(role, work);
    return listOwn({ ...(await this.#context(signal)), log: this.#host.log, unlessInUse }, signal);
  }

  async close(): Promise<void> {
    await this.#server.close();
  }

  async #context(signal: AbortSignal): Promise<EndContext> {
    return {
      server: this.#server,
      admin: await this.#adminOf(signal),
      markKey: this.#host.markKey,
      memberRoles: this.#memberRoles,
      owner: this.#config.ddl?.as,
      makers: this.#makers,
    };
  }

  async #adminOf(signal: AbortSignal): Promise<Admin> {
    const nowMs = this.#host.clock.now();
    if (this.#admin === undefined || this.#admin.untilMs < nowMs) {
      this.#admin = { value: await readAdmin(this.#server, signal), untilMs: nowMs + adminKeptMs };
    }
    return this.#admin.value;
  }

  /** Keys are made with a bundle and by a maker side by side, but not while one of them is being removed. */
  async #using<T>(roles: readonly string[], work: () => Promise<T>): Promise<T> {
    for (let role = this.#going(roles); role !== undefined; role = this.#going(roles))
      await role.catch(() => undefined);
    for (const role of roles) this.#inUse.set(role, (this.#inUse.get(role) ?? 0) + 1);
    try {
      return await work();
    } finally {
      for (const role of roles) {
        const left = (this.#inUse.get(role) ?? 1) - 1;
        if (left === 0) this.#inUse.delete(role);
        else this.#inUse.set(role, left);
      }
    }
  }

  #going(roles: readonly string[]): Promise<unknown> | undefined {
    return roles.map((role) => this.#beingRemoved.get(role)).find((going) => going !== undefined);
  }

  async #unlessInUse(role: string, work: () => Promise<boolean>): Promise<boolean> {
    if (this.#inUse.has(role) || this.#beingRemoved.has(role)) return false;
    const going = work();
    this.#beingRemoved.set(role, going);
    try {
      return await going;
    } finally {
      this.#beingRemoved.delete(role);
    }
  }
}
