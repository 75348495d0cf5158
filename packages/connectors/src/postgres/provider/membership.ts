/** Which native roles a key becomes a member of, so that it may do exactly what was approved. */
import { CardeaError } from "@cardea/core/contract/errors";
import { canonicalJson } from "@cardea/core/documents/canonical";
import type { Facet, Pattern } from "@cardea/core/documents/pattern";
import type { LeaseOrder } from "../../connector.ts";
import type { PostgresConfig, RoleConfig } from "../spec/config.ts";
import { toGrants } from "../spec/privileges.ts";
import { rolePatterns } from "../spec/roles.ts";
import type { Admin } from "./admin.ts";
import { bundleOf, type Bundle } from "./bundles.ts";

/** The native roles that a login becomes a member of. */
export type Membership =
  /** Existing ones, as a role of the configuration names them. */
  { readonly kind: "member"; readonly roles: readonly string[] } | Loan;

/** What an approved action needs while it runs. */
export type Loan =
  | { readonly kind: "bundle"; readonly bundle: Bundle }
  /** Ownership (DDL): the login may become the role, and inherits nothing of it where the server can tell the two apart. */
  | { readonly kind: "owner"; readonly role: string }
  /** What every login may do anyway. */
  | { readonly kind: "nothing" };

/** The native roles of a membership. */
export function nativeRolesOf(membership: Membership): readonly string[] {
  switch (membership.kind) {
    case "member":
      return membership.roles;
    case "bundle":
      return [membership.bundle.name];
    case "owner":
      return [membership.role];
    case "nothing":
      return [];
  }
}

/**
 * How membership is given: on 15 it always inherits and always allows `SET ROLE`; later versions say it with each grant. A key must not be
 * able to become the role, which could then be made to own things.
 */
export function membershipOptions({ kind }: Membership, { grantOptions }: Pick<Admin, "grantOptions">): string {
  if (!grantOptions) return "";
  return kind === "owner" ? " with admin false, inherit false, set true" : " with admin false, inherit true, set false";
}

/**
 * Which native roles enforce exactly the order's permissions; behind a gateway, which judges what is left out, at least allow them.
 * @throws CardeaError `role_unknown`; `narrowing_unenforceable` where native privileges cannot say what approvers left
 */
export function membershipOf(
  config: PostgresConfig,
  markKey: Uint8Array,
  order: Pick<LeaseOrder, "role" | "patterns" | "via">,
): Membership {
  const role: RoleConfig | undefined = Object.hasOwn(config.roles, order.role) ? config.roles[order.role] : undefined;
  if (role === undefined) throw new CardeaError("role_unknown", `the resource has no role \`${order.role}\``);
  if ("member" in role) {
    if (order.via === "gateway" || samePatterns(order.patterns, rolePatterns(role, config.connect.databases)))
      return { kind: "member", roles: role.member };
    throw new CardeaError(
      "narrowing_unenforceable",
      `the role \`${order.role}\` is an existing native role and cannot be narrowed`,
    );
  }
  const narrowed = toGrants(order.patterns);
  const grants =
    narrowed.ok || order.via !== "gateway" ? narrowed : toGrants(rolePatterns(role, config.connect.databases));
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
