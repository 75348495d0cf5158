/**
 * Makes a login with its memberships in one transaction and one round trip; beside it, looks at what the roles are at this moment. What
 * the look finds wanting is put right, or the login is ended again, before the secret leaves this file.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import { readNativeName } from "@cardea/core/contract/native-name";
import { canonicalJson } from "@cardea/core/documents/canonical";
import { toTime } from "@cardea/core/documents/primitives";
import type { Facet, Pattern } from "@cardea/core/documents/pattern";
import type { CreatedLogin, LeaseOrder, ProviderHost } from "../../connector.ts";
import type { PostgresConfig, RoleConfig } from "../spec/config.ts";
import { toGrants } from "../spec/privileges.ts";
import { rolePatterns } from "../spec/roles.ts";
import type { Admin } from "./admin.ts";
import { grantsIn, lackingSql } from "./bundle-plan.ts";
import { bundleOf, ensureBundle, type Bundle } from "./bundles.ts";
import { hasState } from "./faults.ts";
import { quoteIdent, quoteLiteral } from "./quoting.ts";
import { databaseFlawsSql, flawsInWords, readFlaws, sharedFlawsSql } from "./role-safety.ts";
import { newLoginSecret } from "./scram.ts";
import { rowsOf, tlsMode, type Server } from "./server.ts";

/** The native roles that a key becomes a member of: existing ones, or a bundle of ours. */
export type Membership =
  { readonly kind: "member"; readonly roles: readonly string[] } | { readonly kind: "bundle"; readonly bundle: Bundle };

export interface CreateContext {
  readonly server: Server;
  readonly admin: Admin;
  readonly config: PostgresConfig;
  readonly host: ProviderHost;
  /** Ends the login again, as the provider's own `end` does. Its faults say `maybe`: the login is there. */
  readonly end: (nativeName: string) => Promise<void>;
}

/** How often a login or a bundle that comes or goes between two steps is met with another try. */
const maxTurns = 5;

/**
 * Which native roles enforce exactly the order's permissions.
 * @throws CardeaError `role_unknown`; `narrowing_unenforceable` where native privileges cannot say what approvers left
 */
export function membershipOf(
  config: PostgresConfig,
  markKey: Uint8Array,
  order: Pick<LeaseOrder, "role" | "patterns">,
): Membership {
  const role: RoleConfig | undefined = Object.hasOwn(config.roles, order.role) ? config.roles[order.role] : undefined;
  if (role === undefined) throw new CardeaError("role_unknown", `the resource has no role \`${order.role}\``);
  if ("member" in role) {
    if (samePatterns(order.patterns, rolePatterns(role, config.connect.databases)))
      return { kind: "member", roles: role.member };
    throw new CardeaError(
      "narrowing_unenforceable",
      `the role \`${order.role}\` is an existing native role and cannot be narrowed`,
    );
  }
  const grants = toGrants(order.patterns);
  if (!grants.ok)
    throw new CardeaError(
      "narrowing_unenforceable",
      `the role \`${order.role}\` cannot be narrowed so: ${grants.detail}`,
    );
  if (grants.value.length === 0) throw new CardeaError("narrowing_unenforceable", "nothing is left of the permissions");
  return { kind: "bundle", bundle: bundleOf(markKey, grants.value) };
}

function samePatterns(a: readonly Pattern[], b: readonly Pattern[]): boolean {
  const text = (patterns: readonly Pattern[]): string =>
    canonicalJson(patterns.map((pattern) => canonicalJson(normal(pattern))).sort());
  return text(a) === text(b);
}

function normal(pattern: Pattern): Pattern {
  const facets = Object.entries(pattern.facets ?? {}).map(([name, facet]): [string, Facet] => [
    name,
    facet.matcher === "flag" ? facet : { ...facet, values: [...new Set(facet.values)].sort() },
  ]);
  return { name: pattern.name, ...(facets.length === 0 ? {} : { facets: Object.fromEntries(facets) }) };
}

/** Makes the login of an order, in place of whatever an earlier call for the same order left. */
export async function createLogin(
  context: CreateContext,
  order: LeaseOrder,
  membership: Membership,
  signal: AbortSignal,
): Promise<CreatedLogin> {
  const { server, admin, config } = context;
  if (readNativeName(context.host.markKey, order.nativeName).kind !== "ours") {
    throw new TypeError(`\`${order.nativeName}\` is not the name of a login of ours`);
  }
  const roles = membership.kind === "bundle" ? [membership.bundle.name] : membership.roles;
  const { secret, verifier } = await newLoginSecret(context.host.random);
  const sql = loginSql(order, roles, verifier, admin);
  for (let turn = 1; ; turn++) {
    // Side by side, since the server spends some 3 ms on hashing and as long on looking. Both are awaited before anything is judged.
    const [made, looked] = await Promise.allSettled([
      server.change(server.home, sql, signal),
      look(server, admin, membership, roles, signal),
    ]);
    if (made.status === "fulfilled") {
      try {
        await judge(context, membership, roles, made.value.at(-1), settled(looked), signal);
        return { user: order.nativeName, secret, endpoint: endpoint(config) };
      } catch (error) {
        // The login is there and nobody has its secret. A crash here leaves it to recovery, which ends it in the same way.
        await context.end(order.nativeName);
        throw error;
      }
    }
    if (turn === maxTurns) throw made.reason;
    if (hasState(made.reason, "42704") && membership.kind === "bundle") {
      await ensureBundle(server, admin, membership.bundle, signal);
    } else if (hasState(made.reason, "42710") || hasState(made.reason, "23505")) {
      // An earlier call was done though it was reported as failed. Its secret is nobody's: begin afresh.
      await context.end(order.nativeName);
    } else throw made.reason;
  }
}

function settled<T>(outcome: PromiseSettledResult<T>): T {
  if (outcome.status === "rejected") throw outcome.reason;
  return outcome.value;
}

function loginSql(order: LeaseOrder, roles: readonly string[], verifier: string, admin: Admin): string {
  const name = quoteIdent(order.nativeName);
  const inRoles = roles.map(quoteIdent).join(", ");
  // Membership on 15 always inherits and always allows SET ROLE; later versions say it with each grant.
  return `create role ${name} login inherit password ${quoteLiteral(verifier)} valid until ${quoteLiteral(toTime(order.notAfterMs))}
    connection limit ${order.sessions ?? -1} ${admin.grantOptions ? "" : `in role ${inRoles}`};
    ${admin.grantOptions ? `grant ${inRoles} to ${name} with admin false, inherit true, set false;` : ""}
    comment on role ${name} is ${quoteLiteral(loginComment(order.lease, verifier))};
    select r.rolname::text as name from pg_auth_members m join pg_roles r on r.oid = m.roleid
     where m.member = (select oid from pg_roles where rolname = ${quoteLiteral(order.nativeName)})`;
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

interface Look {
  /** Why roles may not be given, in words. */
  readonly flaws: ReadonlyMap<string, string>;
  /** The bundle has all that its patterns meet. */
  readonly current: boolean;
}

/** What the roles are at this moment, in every database that the resource names. */
async function look(
  server: Server,
  admin: Admin,
  membership: Membership,
  roles: readonly string[],
  signal: AbortSignal,
): Promise<Look> {
  const answers = await Promise.all(
    server.databases.map((database) => {
      const lacking =
        membership.kind === "bundle"
          ? lackingSql(grantsIn(membership.bundle.grants, database), membership.bundle.name)
          : "select 0 as lacking";
      const shared = database === server.home ? `${sharedFlawsSql(roles)};\n` : "";
      return server.read(database, `${lacking};\n${shared}${databaseFlawsSql(roles, admin)}`, signal);
    }),
  );
  return {
    flaws: flawsInWords(answers.flatMap(([, ...flaws]) => flaws.flatMap((rows) => [...readFlaws(rows)]))),
    current: answers.every(([rows]) => rowsOf(z.object({ lacking: z.int() }), rows).every((row) => row.lacking === 0)),
  };
}

async function judge(
  { server, admin }: CreateContext,
  membership: Membership,
  roles: readonly string[],
  memberOf: readonly unknown[] | undefined,
  { flaws, current }: Look,
  signal: AbortSignal,
): Promise<void> {
  const members = rowsOf(z.object({ name: z.string() }), memberOf).map((row) => row.name);
  const lacksRole = roles.find((role) => !members.includes(role));
  if (lacksRole !== undefined) {
    throw new CardeaError(
      "resource_privilege_missing",
      `\`${admin.user}\` could not make the login a member of \`${lacksRole}\``,
    );
  }
  for (const [role, why] of flaws)
    throw new CardeaError("resource_role_unsafe", `\`${role}\` may not be given to a direct key: ${why}`);
  if (membership.kind === "bundle" && !current) await ensureBundle(server, admin, membership.bundle, signal);
}

function endpoint(config: PostgresConfig): CreatedLogin["endpoint"] {
  const { host, port, databases } = config.connect;
  return { host, port, databases: [...databases], sslmode: tlsMode(config.connect) };
}
