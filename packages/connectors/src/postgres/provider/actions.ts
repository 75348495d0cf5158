/**
 * Exact actions at one PostgreSQL server, for the outpost: seen before they are approved, lent to a session's login or run by one of their own. It
 * keeps nothing: what was lent stands at the server, and a login's end takes all of it away.
 */
import type { Action } from "@cardea/core/documents/request";
import type {
  ActionOrder,
  ActionOutcome,
  ActionProvider,
  CreatedLogin,
  Preview,
  ProviderHost,
} from "../../connector.ts";
import type { PostgresConfig } from "../spec/config.ts";
import type { Admin } from "./admin.ts";
import type { LoginOrder } from "./create.ts";
import { KeyedLock } from "./keyed-lock.ts";
import { lend, takeBack, type LendContext } from "./lend.ts";
import { loanOf, readAction, type SqlAction } from "./loan.ts";
import { nativeRolesOf, type Loan, type Membership } from "./membership.ts";
import { outcomeOf } from "./outcome.ts";
import { preview } from "./preview.ts";
import { run } from "./run.ts";
import type { Server } from "./server.ts";

/** What the provider does for them. */
export interface ActionWorks {
  readonly server: Server;
  readonly config: PostgresConfig;
  readonly host: ProviderHost;
  readonly memberRoles: ReadonlySet<string>;
  admin(signal: AbortSignal): Promise<Admin>;
  create(order: LoginOrder, membership: Membership, signal: AbortSignal): Promise<CreatedLogin>;
  /** Nothing else happens to the login meanwhile, and none of the roles is removed. */
  exclusively<T>(nativeName: string, roles: readonly string[], work: () => Promise<T>): Promise<T>;
}

/** Each opens a connection, and whoever may sign in may ask for one. */
const previewsAtOnce = 4;

export class PostgresActions implements ActionProvider {
  readonly #works: ActionWorks;
  readonly #previewLanes = new KeyedLock();
  #previews = 0;

  constructor(works: ActionWorks) {
    this.#works = works;
  }

  async preview(action: Pick<Action, "type" | "what">, signal: AbortSignal): Promise<Preview> {
    const { server, config, host } = this.#works;
    const admin = await this.#works.admin(signal);
    this.#previews += 1;
    return this.#previewLanes.run(String(this.#previews % previewsAtOnce), () =>
      preview({ server, config, markKey: host.markKey, admin }, action, signal),
    );
  }

  async lend(order: ActionOrder, signal: AbortSignal): Promise<{ readonly as?: string }> {
    const { sql, loan } = this.#read(order);
    const context = await this.#context(signal);
    return this.#works.exclusively(order.nativeName, bundlesOf(loan), () => lend(context, order, sql, loan, signal));
  }

  async takeBack(order: ActionOrder, signal: AbortSignal): Promise<void> {
    const { loan } = this.#read(order);
    const context = await this.#context(signal);
    await this.#works.exclusively(order.nativeName, bundlesOf(loan), () => takeBack(context, order, loan, signal));
  }

  async run(
    order: ActionOrder,
    started: (trace: string | undefined) => Promise<void>,
    signal: AbortSignal,
  ): Promise<ActionOutcome> {
    const { server, host } = this.#works;
    const { sql, loan } = this.#read(order);
    const admin = await this.#works.admin(signal);
    // Through the gateway's eyes: what the login may do was approved statement by statement, and nobody else has its secret.
    const login = await this.#works.create({ ...order, sessions: 1, via: "gateway" }, loan, signal);
    return run({ server, admin, clock: host.clock }, order, sql, loan, login, started, signal);
  }

  async resolve(trace: string, signal: AbortSignal): Promise<"done" | "failed" | "unknown"> {
    return outcomeOf(this.#works.server, trace, signal);
  }

  #read({ action }: ActionOrder): { readonly sql: SqlAction; readonly loan: Loan } {
    const { config, host } = this.#works;
    const sql = readAction(action);
    return { sql, loan: loanOf(config, host.markKey, sql) };
  }

  async #context(signal: AbortSignal): Promise<LendContext> {
    const { server, config, host, memberRoles } = this.#works;
    return {
      server,
      memberRoles,
      markKey: host.markKey,
      owner: config.ddl?.as,
      admin: await this.#works.admin(signal),
    };
  }
}

/** Those of a loan's roles that are ours, and may be removed when nobody needs them. */
function bundlesOf(loan: Loan): readonly string[] {
  return loan.kind === "bundle" ? nativeRolesOf(loan) : [];
}
