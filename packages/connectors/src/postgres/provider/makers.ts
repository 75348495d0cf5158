/**
 * Makers: native roles in whose name logins are made, a few dozen logins each. Only from PostgreSQL 16 on, and only where the administrator
 * is no superuser.
 *
 * There, who makes a role becomes a member of it, and each GRANT, REVOKE and DROP ROLE walks all that the acting role is a member of.
 * With an administrator that made 6,000 logins, a GRANT took 29 ms and a DROP ROLE 26 ms; in the name of a maker with 100, about one
 * each, however many makers there are. A maker cannot log in, has nothing but CREATEROLE and the right to admit logins to the roles that
 * are given out, and is removed when it has no login left.
 */
import { z } from "zod";
import { bundleName } from "@cardea/core/contract/native-name";
import type { Admin } from "./admin.ts";
import { makeRole } from "./bundles.ts";
import { quoteIdent } from "./quoting.ts";
import { rowsOf, type Server } from "./server.ts";

/** Logins that one maker has before the next one is used. */
const loginsEach = 64;

/** As many as there can be native names in one listing; a bound, not an expectation. */
const maxMakers = 4_096;

const Count = z.object({ name: z.string(), logins: z.int() });

export class Makers {
  readonly #server: Server;
  readonly #markKey: Uint8Array;
  /** How many logins each has, by position; from the catalogue, then kept by counting. Too much or too little costs only speed. */
  #logins: number[] | undefined;

  constructor(server: Server, markKey: Uint8Array) {
    this.#server = server;
    this.#markKey = markKey;
  }

  /** The maker for one more login, or `undefined` where logins are made in the administrator's own name. */
  async take(admin: Admin, signal: AbortSignal): Promise<string | undefined> {
    if (!admin.grantOptions || admin.superuser) return undefined;
    this.#logins ??= await this.#count(signal);
    const found = this.#logins.findIndex((count) => count < loginsEach);
    const position = found < 0 ? Math.min(this.#logins.length, maxMakers - 1) : found;
    this.#logins[position] = (this.#logins[position] ?? 0) + 1;
    return makerName(this.#markKey, position);
  }

  /** Counts anew at the next login. Called when logins were ended and where the server disagrees. */
  forget(): void {
    this.#logins = undefined;
  }

  /** Makes a maker ready for these roles. Idempotent; needed when the server refuses it for the first time. */
  async prepare(maker: string, roles: readonly string[], signal: AbortSignal): Promise<void> {
    await makeRole(this.#server, maker, "createrole", "Cardea maker of logins", signal);
    const admit = roles.length === 0 ? "" : `; grant ${roles.map(quoteIdent).join(", ")} to ${quoteIdent(maker)} with admin true, inherit false, set false`;
    const become = `grant ${quoteIdent(maker)} to current_user with inherit false, set true`;
    await this.#server.change(this.#server.home, `${become}${admit}`, signal);
  }

  async #count(signal: AbortSignal): Promise<number[]> {
    // `found` empties as positions are tried; a name that is no maker's would keep it from that, hence the bound.
    const [rows] = await this.#server.read(
      this.#server.home,
      `select o.rolname::text as name, count(*)::int as logins from pg_auth_members m join pg_roles o on o.oid = m.member join pg_roles r on r.oid = m.roleid
        where o.rolname like 'cardea\\_%' and r.rolname like 'cardea\\_%' and r.rolcanlogin and m.admin_option group by 1`,
      signal,
    );
    const found = new Map(rowsOf(Count, rows).map(({ name, logins }) => [name, logins]));
    const counts: number[] = [];
    for (let position = 0; found.size > 0 && position < maxMakers; position++) {
      const name = makerName(this.#markKey, position);
      counts.push(found.get(name) ?? 0);
      found.delete(name);
    }
    return counts;
  }
}

function makerName(markKey: Uint8Array, position: number): string {
  return bundleName(markKey, "maker", String(position)).name;
}

/** Statements in the name of a maker (`undefined`: the administrator), inside a transaction that the caller begins and ends. */
export function inNameOf(maker: string | undefined, statements: readonly string[]): string {
  return [`set local role ${maker === undefined ? "none" : quoteIdent(maker)}`, ...statements].join(";\n");
}

/** The maker of each login of a list: who is a member of it without any of its rights. Makers are told by their comment and mark. */
export function makerSql(login: string): string {
  return `(select o.rolname::text from pg_auth_members m join pg_roles o on o.oid = m.member
    where m.roleid = ${login} and m.admin_option and o.rolname like 'cardea\\_%' and o.rolname <> current_user limit 1)`;
}
