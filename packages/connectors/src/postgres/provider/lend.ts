/**
 * Lends a login the membership that an approved action needs, and takes it back. Both are one round trip and one commit where the bundle is there.
 *
 * Membership takes effect in the session's next statement, inside an open transaction too. A crash at any point leaves a login that has too much, which
 * its end takes away: `end` revokes whatever a login is a member of before it closes the sessions.
 */
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import { readNativeName } from "@cardea/core/contract/native-name";
import type { ActionOrder } from "../../connector.ts";
import type { Admin } from "./admin.ts";
import { lackingSql } from "./bundle-plan.ts";
import { bundleComment, ensureBundle } from "./bundles.ts";
import { asMaybe, hasState } from "./faults.ts";
import type { SqlAction } from "./loan.ts";
import { membershipOptions, nativeRolesOf, type Loan } from "./membership.ts";
import { nameList } from "./missing.ts";
import { quoteIdent, quoteLiteral, quoteTexts } from "./quoting.ts";
import { rowsOf, type Server } from "./server.ts";

export interface LendContext {
  readonly server: Server;
  readonly admin: Admin;
  readonly markKey: Uint8Array;
  /** Native roles that the configuration makes keys members of. */
  readonly memberRoles: ReadonlySet<string>;
  /** The role that definitions run as. */
  readonly owner: string | undefined;
}

/** A bundle can go between two tries: an earlier process of ours may have been removing it. */
const maxTurns = 3;

/** Makes the login a member; a bundle is made or completed where it has to be. Answers the role to run as. */
export async function lend(
  context: LendContext,
  { nativeName }: Pick<ActionOrder, "nativeName">,
  { what: { database } }: SqlAction,
  loan: Loan,
  signal: AbortSignal,
): Promise<{ readonly as?: string }> {
  checkName(context, nativeName);
  const { server, admin } = context;
  const grant = loan.kind === "nothing" ? "" : grantSql(nativeName, loan, admin);
  switch (loan.kind) {
    case "nothing":
      return {};
    case "owner":
      await server.change(database, grant, signal);
      return { as: loan.role };
    case "bundle":
      await admitToBundle(
        context,
        nativeName,
        database,
        `${grant}; ${lackingSql(loan.bundle.grants, loan.bundle.name)}`,
        loan,
        signal,
      );
      return {};
  }
}

async function admitToBundle(
  context: LendContext,
  nativeName: string,
  database: string,
  sql: string,
  { bundle }: Extract<Loan, { kind: "bundle" }>,
  signal: AbortSignal,
): Promise<void> {
  const { server, admin } = context;
  for (let turn = 1; ; turn++) {
    let lacks: boolean;
    try {
      const [, rows] = await server.change(database, sql, signal);
      lacks = rowsOf(z.object({ lacking: z.int() }), rows).some(({ lacking }) => lacking > 0);
    } catch (error) {
      // 42704: the bundle is not there, or the login is not any more.
      if (turn === maxTurns || !hasState(error, "42704")) throw error;
      await ensureBundle(server, admin, bundle, signal);
      continue;
    }
    if (!lacks) return;
    try {
      await ensureBundle(server, admin, bundle, signal);
      return;
    } catch (error) {
      await takeBack(context, { nativeName }, { kind: "bundle", bundle }, signal).catch((left: unknown) => {
        throw asMaybe(left);
      });
      throw error;
    }
  }
}

const Left = z.object({ role: z.string() });

/**
 * Takes the membership back, and sees to it that nothing is left that was ever lent.
 * @throws CardeaError `lease_stuck` where something is: then only the login's end takes it away
 */
export async function takeBack(
  context: LendContext,
  { nativeName }: Pick<ActionOrder, "nativeName">,
  loan: Loan,
  signal: AbortSignal,
): Promise<void> {
  checkName(context, nativeName);
  const { server } = context;
  // A grant that was sent and never answered could still come after the revoke.
  await server.settle(signal);
  const login = quoteIdent(nativeName);
  const revokes = nativeRolesOf(loan).map((role) => `revoke ${quoteIdent(role)} from ${login}`);
  let answers: readonly (readonly unknown[])[];
  try {
    answers = await server.change(server.home, [...revokes, lentSql(context, nativeName)].join(";\n"), signal);
  } catch (error) {
    // 42704: the bundle is gone, and with it every membership; or the login is.
    if (!hasState(error, "42704")) throw error;
    answers = await server.read(server.home, lentSql(context, nativeName), signal);
  }
  const left = rowsOf(Left, answers.at(-1)).map(({ role }) => role);
  if (left.length > 0)
    throw new CardeaError("lease_stuck", `\`${nativeName}\` is still a member of ${nameList(left)}: end the login`);
}

/** The roles that a login is a member of and that no key is given: whatever the configuration said when they were lent. */
function lentSql({ admin, memberRoles, owner }: LendContext, nativeName: string): string {
  const foreign = `(r.rolname !~ '^cardea_[0-9a-z]{25}$' and r.rolname <> all(${quoteTexts([...memberRoles])}))`;
  const lent = [
    `starts_with(shobj_description(r.oid, 'pg_authid'), ${quoteLiteral(bundleComment.action)})`,
    ...(owner === undefined ? [] : [`r.rolname = ${quoteLiteral(owner)}`]),
    admin.grantOptions ? "m.set_option" : foreign,
  ];
  return `select r.rolname::text as role from pg_auth_members m join pg_roles r on r.oid = m.roleid
     where m.member = (select oid from pg_roles where rolname = ${quoteLiteral(nativeName)}) and (${lent.join(" or ")})`;
}

function grantSql(nativeName: string, loan: Loan, admin: Admin): string {
  const roles = nativeRolesOf(loan).map(quoteIdent).join(", ");
  return `grant ${roles} to ${quoteIdent(nativeName)}${membershipOptions(loan, admin)}`;
}

/** Never touches a role that is not a login of ours. */
function checkName({ markKey }: LendContext, nativeName: string): void {
  const mark = readNativeName(markKey, nativeName);
  if (mark.kind !== "ours" || mark.deadlineMs === 0)
    throw new TypeError(`\`${nativeName}\` is not the name of a login of ours`);
}
