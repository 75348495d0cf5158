/**
 * Makes a login: one round trip for login, memberships and the look at what came of it. Nothing of it is visible before all of it is
 * committed. What the look finds wanting is put right or ended again before the secret leaves this function.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { toTime } from "@cardea/core/documents/primitives";
import type { Pattern } from "@cardea/core/documents/pattern";
import type { CreatedLogin, LeaseOrder, ProviderHost } from "../../connector.ts";
import type { PostgresConfig, RoleConfig } from "../spec/config.ts";
import { toGrants } from "../spec/privileges.ts";
import { rolePatterns } from "../spec/roles.ts";
import type { Admin } from "./admin.ts";
import { grantsIn, lackingSql } from "./bundle-plan.ts";
import { bundleOf, ensureBundle, isCurrent, type Bundle } from "./bundles.ts";
import { hasState } from "./faults.ts";
import { quoteIdent, quoteLiteral } from "./quoting.ts";
import { databaseFlawsSql, flawsInWords, readFlaws, sharedFlawsSql } from "./role-safety.ts";
import { newLoginSecret } from "./scram.ts";
import { rowsOf, tlsMode, type Server } from "./server.ts";

/** The native roles that a key becomes a member of: existing ones, or a bundle of ours. */
export type Membership =
  | { readonly kind: "member"; readonly roles: readonly string[] }
  | { readonly kind: "bundle"; readonly bundle: Bundle };

export interface CreateContext {
  readonly server: Server;
  readonly admin: Admin;
  readonly config: PostgresConfig;
  readonly host: ProviderHost;
  /** Ends the login again; the same function as the provider's own end. */
  readonly end: (nativeName: string, signal: AbortSignal) => Promise<unknown>;
}

/** How often a login or a bundle that comes or goes between two steps is met with another try. */
const maxTurns = 5;

/**
 * Which native roles enforce exactly the order's permissions.
 * @throws CardeaError `role_unknown`; `narrowing_unenforceable` where native privileges cannot say what approvers left
 */
export function membershipOf(config: PostgresConfig, markKey: Uint8Array, order: Pick<LeaseOrder, "role" | "patterns">): Membership {
  const role: RoleConfig | undefined = Object.hasOwn(config.roles, order.role) ? config.roles[order.role] : undefined;
  if (role === undefined) throw new CardeaError("role_unknown", `the resource has no role \`${order.role}\``);
  if ("member" in role) {
    if (samePatterns(order.patterns, rolePatterns(role, config.connect.databases))) return { kind: "member", roles: role.member };
    throw new CardeaError("narrowing_unenforceable", `the role \`${order.role}\` is an existing native role and cannot be narrowed`);
  }
  const grants = toGrants(order.patterns);
  if (!grants.ok) throw new CardeaError("narrowing_unenforceable", `the role \`${order.role}\` cannot be narrowed so: ${grants.detail}`);
  if (grants.value.length === 0) throw new CardeaError("narrowing_unenforceable", "nothing is left of the permissions");
  return { kind: "bundle", bundle: bundleOf(markKey, grants.value) };
}

function samePatterns(a: readonly Pattern[], b: readonly Pattern[]): boolean {
  const text = (patterns: readonly Pattern[]): string => canonicalJson(patterns.map((pattern) => canonicalJson(normal(pattern))).sort());
  return text(a) === text(b);
}

function normal(pattern: Pattern): Pattern {
  const facets = Object.entries(pattern.facets ?? {}).map(([name, facet]) => [
    name,
    facet.matcher === "flag" ? facet : { ...facet, values: [...new Set(facet.values)].sort() },
  ]);
  return { name: pattern.name, ...(facets.length === 0 ? {} : { facets: Object.fromEntries(facets) as Pattern["facets"] }) };
}

/** Makes the login of an order, in place of whatever an earlier call for the same order left. */
export async function createLogin(context: CreateContext, order: LeaseOrder, membership: Membership, signal: AbortSignal): Promise<CreatedLogin> {
  const { server, admin, config } = context;
  const roles = membership.kind === "bundle" ? [membership.bundle.name] : membership.roles;
  const { secret, verifier } = await newLoginSecret(context.host.random);
  const sql = `${loginSql(order, roles, verifier, admin)};\n${lookSql(server.home, order.nativeName, membership, roles, admin)}`;
  for (let turn = 1; ; turn++) {
    try {
      const answers = await server.change(server.home, sql, signal);
      await settleOutcome(context, order, membership, roles, answers.slice(-4), signal);
      return { user: order.nativeName, secret, endpoint: endpoint(config) };
    } catch (error) {
      if (turn === maxTurns) throw error;
      if (hasState(error, "42704") && membership.kind === "bundle") {
        await ensureBundle(server, admin, membership.bundle, signal);
      } else if (hasState(error, "42710") || hasState(error, "23505")) {
        // An earlier call was done though it was reported as failed. Its secret is nobody's: begin afresh.
        await context.end(order.nativeName, signal);
      } else throw error;
    }
  }
}

function loginSql(order: LeaseOrder, roles: readonly string[], verifier: string, admin: Admin): string {
  const name = quoteIdent(order.nativeName);
  const inRoles = roles.map(quoteIdent).join(", ");
  // Membership on 15 always inherits and always allows SET ROLE; later versions say it with each grant.
  return `create role ${name} login inherit password ${quoteLiteral(verifier)} valid until ${quoteLiteral(toTime(order.notAfterMs))}
    connection limit ${order.sessions ?? -1} ${admin.grantOptions ? "" : `in role ${inRoles}`};
    ${admin.grantOptions ? `grant ${inRoles} to ${name} with admin false, inherit true, set false;` : ""}
    comment on role ${name} is ${quoteLiteral(loginComment(order.lease, verifier))}`;
}

const commentForm = /^Cardea lease (lea_[0-9a-z]+), verifier ([0-9a-f]{64})$/;

/** Says to whoever looks at the server's roles what this one is, and lets the end notice that its holder changed the password. */
function loginComment(lease: string, verifier: string): string {
  return `Cardea lease ${lease}, verifier ${verifierHash(verifier)}`;
}

/** Whether a login's verifier is another than the one it was made with. Unknown is no. */
export function verifierChanged(comment: string | null, verifier: string | null): boolean {
  const made = commentForm.exec(comment ?? "")?.[2];
  return made !== undefined && verifier !== null && made !== verifierHash(verifier);
}

function verifierHash(verifier: string): string {
  return createHash("sha256").update(verifier).digest("hex");
}

const Outcome = z.object({ members: z.array(z.string()) });

/** Four statements: what the login is a member of, the flaws of those roles, and how complete the bundle is. */
function lookSql(home: string, login: string, membership: Membership, roles: readonly string[], admin: Admin): string {
  const lacking =
    membership.kind === "bundle"
      ? lackingSql(grantsIn(membership.bundle.grants, home), membership.bundle.name)
      : "select 0 as lacking";
  return `select coalesce(json_agg(r.rolname order by r.rolname), '[]') as members from pg_auth_members m join pg_roles r on r.oid = m.roleid
      where m.member = (select oid from pg_roles where rolname = ${quoteLiteral(login)});
    ${sharedFlawsSql(roles)};
    ${databaseFlawsSql(roles, admin)};
    ${lacking}`;
}

async function settleOutcome(
  context: CreateContext,
  order: LeaseOrder,
  membership: Membership,
  roles: readonly string[],
  answers: readonly (readonly unknown[])[],
  signal: AbortSignal,
): Promise<void> {
  const { server, admin } = context;
  try {
    const [members] = rowsOf(Outcome, answers[0]);
    const lacksRole = roles.find((role) => members?.members.includes(role) !== true);
    if (lacksRole !== undefined) {
      throw new CardeaError("resource_privilege_missing", `\`${admin.user}\` could not make the login a member of \`${lacksRole}\``);
    }
    const elsewhere = await Promise.all(
      server.databases.slice(1).map((database) => server.read(database, databaseFlawsSql(roles, admin), signal)),
    );
    const flaws = flawsInWords([answers[1], answers[2], ...elsewhere.map(([rows]) => rows)].flatMap((rows) => [...readFlaws(rows)]));
    for (const [role, why] of flaws) {
      throw new CardeaError("resource_role_unsafe", `\`${role}\` may not be given to a direct key: ${why}`);
    }
    if (membership.kind === "bundle") {
      const atHome = rowsOf(z.object({ lacking: z.int() }), answers[3]).every((row) => row.lacking === 0);
      const others = await Promise.all(server.databases.slice(1).map((database) => isCurrent(server, membership.bundle, database, signal)));
      if (!atHome || others.includes(false)) await ensureBundle(server, admin, membership.bundle, signal);
    }
  } catch (error) {
    // The login is there and nobody has its secret. A crash here leaves it to recovery, which ends it in the same way.
    await context.end(order.nativeName, signal);
    throw error;
  }
}

function endpoint(config: PostgresConfig): CreatedLogin["endpoint"] {
  const { host, port, databases } = config.connect;
  return { host, port, databases: [...databases], sslmode: tlsMode(config.connect) };
}
