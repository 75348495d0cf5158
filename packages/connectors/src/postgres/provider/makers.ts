/**
 * Makers: native roles in whose name logins are made, a few dozen logins each. Only from PostgreSQL 16 on, and only where the administrator
 * is no superuser.
 *
 * There, who makes a role becomes a member of it, and each GRANT, REVOKE and DROP ROLE walks all that the acting role is a member of.
 * With an administrator that made 6,000 logins, a GRANT took 29 ms and a DROP ROLE 26 ms; in the name of a maker with 100, about one
 * each, however many makers there are. So the first few logins that are out at the same time are made by the administrator itself, and
 * only more than those by makers. A maker cannot log in, has nothing but CREATEROLE and the right to admit logins to the roles that are
 * given out, and is removed when it has no login left.
 */
import { z } from "zod";
import { bundleName, readNativeName } from "@cardea/core/contract/native-name";
import type { Admin } from "./admin.ts";
import { makeRole } from "./bundles.ts";
import { quoteIdent } from "./quoting.ts";
import { rowsOf, type Server } from "./server.ts";

/** Logins that one maker has before the next one is used, and that are out at all before the first one is. */
export const loginsEach = 64;

/** As many as there can be native names in one listing; a bound, not an expectation. */
const maxMakers = 4_096;

const Count = z.object({ name: z.string(), logins: z.int() });

export class Makers {
  readonly #server: Server;
  readonly #markKey: Uint8Array;
  readonly #ownLogins: number;
  /** How many logins there are, from the catalogue, then kept by counting. Too much or too little costs only speed. */
  #logins: { own: number; byMaker: number[] } | undefined;

  /** `ownLogins`: how many the administrator makes itself. */
  constructor(server: Server, markKey: Uint8Array, ownLogins: number) {
    this.#server = server;
    this.#markKey = markKey;
    this.#ownLogins = ownLogins;
  }

  /** The maker for one more login, or `undefined` where logins are made in the administrator's own name. */
  async take(admin: Admin, signal: AbortSignal): Promise<string | undefined> {
    if (!admin.grantOptions || admin.superuser) return undefined;
    const logins = (this.#logins ??= await this.#count(signal));
    const { byMaker } = logins;
    if (byMaker.reduce((sum, count) => sum + count, logins.own) < this.#ownLogins) {
      logins.own += 1;
      return undefined;
    }
    const found = byMaker.findIndex((count) => count < loginsEach);
    const position = found < 0 ? Math.min(byMaker.length, maxMakers - 1) : found;
    byMaker[position] = (byMaker[position] ?? 0) + 1;
    return makerName(this.#markKey, position);
  }

  /** Some of its logins are gone, or were never made. */
  giveBack(maker: string | undefined, count: number): void {
    if (this.#logins === undefined) return;
    const { own, byMaker } = this.#logins;
    if (maker === undefined) this.#logins.own = Math.max(0, own - count);
    const position = byMaker.findIndex((_, index) => makerName(this.#markKey, index) === maker);
    if (position >= 0) byMaker[position] = Math.max(0, (byMaker[position] ?? 0) - count);
  }

  /** Makes a maker ready for these roles. Idempotent; called when the server refuses it for the first time. */
  async prepare(maker: string, roles: readonly string[], signal: AbortSignal): Promise<void> {
    await makeRole(this.#server, maker, "createrole", makerComment, signal);
    await this.#server.change(
      this.#server.home,
      [
        `grant ${quoteIdent(maker)} to current_user with inherit false, set true`,
        ...(roles.length === 0
          ? []
          : [
              `grant ${roles.map(quoteIdent).join(", ")} to ${quoteIdent(maker)} with admin true, inherit false, set false`,
            ]),
      ].join(";\n"),
      signal,
    );
  }

  async #count(signal: AbortSignal): Promise<{ own: number; byMaker: number[] }> {
    const [rows] = await this.#server.read(
      this.#server.home,
      `select o.rolname::text as name, count(*)::int as logins from pg_auth_members m join pg_roles o on o.oid = m.member
         join pg_roles r on r.oid = m.roleid where m.admin_option and (o.rolname like 'cardea\\_%' or o.rolname = current_user) and ${isLoginSql("r.rolname")} group by 1`,
      signal,
    );
    const counted = rowsOf(Count, rows);
    const own = counted.filter(({ name }) => readNativeName(this.#markKey, name).kind === "foreign");
    const makers = counted.filter(({ name }) => readNativeName(this.#markKey, name).kind === "ours");
    const found = new Map(makers.map(({ name, logins }) => [name, logins]));
    const byMaker: number[] = [];
    for (let position = 0; found.size > 0 && position < maxMakers; position++) {
      const name = makerName(this.#markKey, position);
      byMaker.push(found.get(name) ?? 0);
      found.delete(name);
    }
    return { own: own.reduce((sum, { logins }) => sum + logins, 0), byMaker };
  }
}

/** How a maker is told from a bundle. */
export const makerComment = "Cardea maker of logins";

function makerName(markKey: Uint8Array, position: number): string {
  return bundleName(markKey, "maker", String(position)).name;
}

/** Whether a name of our form has a deadline, so is a login's. */
export function isLoginSql(name: string): string {
  return `(${name} like 'cardea\\_%' and substr(${name}, 18, 7) <> '0000000')`;
}

/** Statements in the name of a maker (`undefined`: the administrator), inside a transaction that the caller begins and ends. */
export function inNameOf(maker: string | undefined, statements: readonly string[]): string {
  return [`set local role ${maker === undefined ? "none" : quoteIdent(maker)}`, ...statements].join(";\n");
}

/** Who made a login (an expression for its id): a member of it without any of its rights. The caller checks the name's mark. */
export function makerSql(login: string): string {
  return `(select o.rolname::text from pg_auth_members m join pg_roles o on o.oid = m.member
    where m.roleid = ${login} and m.admin_option and o.rolname like 'cardea\\_%' and o.rolname <> current_user limit 1)`;
}
