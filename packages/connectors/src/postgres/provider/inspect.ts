/** Looks at a resource before anything is issued: what it is, what its roles amount to, and what the administrator lacks. Makes nothing. */
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import type { MissingPrivilege } from "@cardea/core/wire/link";
import { readNativeName } from "@cardea/core/contract/native-name";
import type { RoleSpec } from "@cardea/core/documents/resource-spec";
import type { Inspection, ProviderHost } from "../../connector.ts";
import { actionsNamed } from "../spec/actions.ts";
import type { PostgresConfig } from "../spec/config.ts";
import { toGrants } from "../spec/privileges.ts";
import { rolePatterns } from "../spec/roles.ts";
import type { Admin } from "./admin.ts";
import { grantsIn, planSql, PlanRow } from "./bundle-plan.ts";
import { missing, missingGrants, nameList, plain } from "./missing.ts";
import { nativeActions } from "./native-actions.ts";
import { publicInventory, publicSummary, publicWarnings } from "./public-inventory.ts";
import { quoteIdentVisibly as quoteIdent } from "./quoting.ts";
import { inspectFlaws } from "./role-safety.ts";
import { rowsOf, type Server } from "./server.ts";

const oldest = 150_000;
const newestTested = 180_000;

/** Login time limits are read off the server's clock. */
const maxClockSkewMs = 2_000;

/** Roles, warnings and missing privileges that one report may hold. */
const maxListed = 100;

/** @throws OutsideError; CardeaError `resource_too_old` */
export async function inspect(
  server: Server,
  admin: Admin,
  config: PostgresConfig,
  host: ProviderHost,
  signal: AbortSignal,
): Promise<Inspection> {
  if (admin.version < oldest) {
    throw new CardeaError(
      "resource_too_old",
      `PostgreSQL ${admin.release} is not supported: 15 is the oldest version that is`,
    );
  }
  const askedAtMs = host.clock.now();
  const [natives, inventory] = await Promise.all([nativeRoles(server, admin, signal), publicInventory(server, signal)]);
  const members = [...new Set(Object.values(config.roles).flatMap((role) => ("member" in role ? role.member : [])))];
  const ours = new Set(
    natives.filter(({ name }) => readNativeName(host.markKey, name).kind !== "foreign").map(({ name }) => name),
  );
  const offered = natives
    .filter(({ name, system, superuser }) => !ours.has(name) && !system && !superuser && name !== admin.user)
    .slice(0, 200);
  const flaws = await inspectFlaws(
    server,
    admin,
    [...new Set([...members, ...offered.map(({ name }) => name)])],
    signal,
  );

  const lacking: MissingPrivilege[] = [...adminLacks(admin)];
  const warnings: string[] = [...adminWarnings(admin, admin.atMs - askedAtMs), ...publicWarnings(inventory)];
  const roles: Record<string, RoleSpec> = {};
  for (const [name, role] of Object.entries(config.roles)) {
    const patterns = [...rolePatterns(role, config.connect.databases)];
    const described = role.description === undefined ? {} : { description: role.description };
    if ("member" in role) {
      const lacks = role.member.flatMap((member) => memberLacks(admin, natives, member));
      lacking.push(...lacks);
      if (lacks.length === 0) lacking.push(...(await exceeds(server, name, role.actions, role.member, signal)));
      const unsafe = role.member.flatMap((member) =>
        flaws.has(member) ? [`\`${member}\`: ${flaws.get(member) ?? ""}`] : [],
      );
      if (unsafe.length > 0)
        warnings.push(
          `the role \`${name}\` cannot be given to direct keys, only through the gateway: ${unsafe.join("; ")}`,
        );
      // A native role is given whole; what approvers took away from it only the gateway can refuse.
      roles[name] = {
        patterns,
        vias: unsafe.length > 0 ? ["gateway"] : ["gateway", "direct"],
        narrows: ["gateway"],
        ...described,
      };
    } else {
      lacking.push(...(await grantLacks(server, admin, patterns, signal)));
      roles[name] = { patterns, vias: ["gateway", "direct"], narrows: ["gateway", "direct"], ...described };
    }
  }
  if (config.ddl !== undefined) lacking.push(...ownerLacks(admin, natives, config.ddl.as, members));
  lacking.push(...orphanedMarks(natives, ours, admin, host.markKey));
  return {
    version: `PostgreSQL ${admin.release}`,
    roles,
    missing: lacking.slice(0, maxListed),
    warnings: warnings.slice(0, maxListed).map((warning) => plain(warning, 1_000)),
    publicPrivileges: { summary: publicSummary(inventory), ...inventory },
    offers: offered.map(({ name }) => {
      const why = flaws.get(name);
      return {
        nativeRole: name,
        safeForDirect: why === undefined,
        ...(why === undefined ? {} : { why: plain(why, 500) }),
      };
    }),
  };
}

const Native = z.object({ name: z.string(), system: z.boolean(), superuser: z.boolean(), admits: z.boolean() });
type Native = z.infer<typeof Native>;

async function nativeRoles(server: Server, admin: Admin, signal: AbortSignal): Promise<readonly Native[]> {
  // On 15 CREATEROLE may admit members to any role but a superuser.
  const admits = admin.superuser
    ? "true"
    : `pg_has_role(oid, 'member with admin option')${admin.grantOptions ? "" : " or (not rolsuper and (select rolcreaterole from pg_roles where rolname = current_user))"}`;
  const [rows] = await server.read(
    server.home,
    `select rolname::text as name, rolname like 'pg\\_%' as system, rolsuper as superuser, (${admits}) as admits from pg_roles order by rolname collate "C"`,
    signal,
  );
  return rowsOf(Native, rows);
}

function adminLacks(admin: Admin): readonly MissingPrivilege[] {
  const user = quoteIdent(admin.user);
  return [
    ...(admin.standby ? [missing("the server is a standby that only reads: name the primary in `connect.host`")] : []),
    ...(admin.superuser || admin.createRole
      ? []
      : [missing(`\`${admin.user}\` may not create roles`, `alter role ${user} createrole;`)]),
    ...(admin.superuser || admin.signals
      ? []
      : [
          missing(
            `\`${admin.user}\` may not end sessions of others`,
            `grant pg_signal_backend to ${user}${admin.grantOptions ? " with inherit true" : ""};`,
          ),
        ]),
    ...(admin.superuser || admin.inherits || admin.grantOptions
      ? []
      : [
          missing(
            `\`${admin.user}\` does not inherit the rights of roles that it is a member of`,
            `alter role ${user} inherit;`,
          ),
        ]),
  ];
}

function adminWarnings(admin: Admin, skewMs: number): readonly string[] {
  return [
    ...(admin.superuser ? [`\`${admin.user}\` is a superuser; CREATEROLE and a few grants are enough`] : []),
    ...(admin.readsVerifiers
      ? []
      : [`\`${admin.user}\` may not read pg_authid, so nobody notices when a login changes its own password`]),
    ...(admin.version >= newestTested + 10_000
      ? [`PostgreSQL ${admin.release} is newer than what Cardea was tested with`]
      : []),
    ...(Math.abs(skewMs) > maxClockSkewMs
      ? [
          `the server's clock is ${Math.round(Math.abs(skewMs) / 1_000)} s ${skewMs > 0 ? "ahead of" : "behind"} ours; keys expire by the server's`,
        ]
      : []),
  ];
}

function memberLacks(admin: Admin, natives: readonly Native[], member: string): readonly MissingPrivilege[] {
  const native = natives.find(({ name }) => name === member);
  if (native === undefined)
    return [missing(`there is no native role \`${member}\``, `create role ${quoteIdent(member)} nologin;`)];
  if (native.admits) return [];
  const options = admin.grantOptions ? "with admin true, inherit false, set false" : "with admin option";
  return [
    missing(
      `\`${admin.user}\` may not make keys members of \`${member}\``,
      `grant ${quoteIdent(member)} to ${quoteIdent(admin.user)} ${options};`,
    ),
  ];
}

/** What is in the way of lending logins the role that definitions run as. */
function ownerLacks(
  admin: Admin,
  natives: readonly Native[],
  owner: string,
  members: readonly string[],
): readonly MissingPrivilege[] {
  const lacks = memberLacks(admin, natives, owner);
  const native = natives.find(({ name }) => name === owner);
  return [
    ...lacks,
    ...(native?.superuser === true
      ? [missing(`\`ddl.as\` names \`${owner}\`, a superuser: name the role that owns the tables`)]
      : []),
    ...(native?.system === true ? [missing(`\`ddl.as\` names \`${owner}\`, a role of PostgreSQL's own`)] : []),
    ...(owner === admin.user ? [missing(`\`ddl.as\` names Cardea's own administrator \`${owner}\``)] : []),
    // Taken back after a definition, it would be taken from the key as well.
    ...(members.includes(owner)
      ? [missing(`\`ddl.as\` names \`${owner}\`, which keys of a role are made members of: name another role`)]
      : []),
  ];
}

/** A native role that can do more than its configuration says would give more than what was approved. */
async function exceeds(
  server: Server,
  name: string,
  actions: readonly string[],
  members: readonly string[],
  signal: AbortSignal,
): Promise<readonly MissingPrivilege[]> {
  const allowed = new Set<string>(actions.flatMap((action) => actionsNamed(action)));
  const found = await nativeActions(server, members, signal);
  const excess = found.filter(({ action }) => !allowed.has(action));
  const byAction = new Map<string, string[]>();
  for (const { action, what } of excess) byAction.set(action, [...(byAction.get(action) ?? []), what]);
  return [...byAction].map(([action, what]) =>
    missing(
      `the role \`${name}\` does not say \`${action}\`, but its native roles can do that on ${nameList(what)}: add it to \`actions\`, or take the privilege away`,
    ),
  );
}

async function grantLacks(
  server: Server,
  admin: Admin,
  patterns: RoleSpec["patterns"],
  signal: AbortSignal,
): Promise<readonly MissingPrivilege[]> {
  const grants = toGrants(patterns);
  if (!grants.ok) throw new TypeError(grants.detail);
  const plans = await Promise.all(
    server.databases.map(async (database) => {
      const here = grantsIn(grants.value, database);
      const [rows] = await server.read(database, planSql(here, undefined), signal);
      return { database, here, rows: rowsOf(PlanRow, rows).filter((row) => !row.grantable) };
    }),
  );
  const key = (row: PlanRow): string => `${row.grant} ${row.schema} ${row.name}`;
  const absent = plans.map(({ rows }) => new Set(rows.filter((row) => row.what === "absent").map(key)));
  // With several databases a table may live in any of them.
  const nowhere = (row: PlanRow): boolean => row.what !== "absent" || absent.every((keys) => keys.has(key(row)));
  return plans.flatMap(({ database, here, rows }) => missingGrants(admin, here, rows.filter(nowhere), database));
}

/** From 16 on only who made a role, or was given it, can end it: after a change of administrators the old one's roles need handing over. */
function orphanedMarks(
  natives: readonly Native[],
  ours: ReadonlySet<string>,
  admin: Admin,
  markKey: Uint8Array,
): readonly MissingPrivilege[] {
  const orphaned = natives.filter(
    ({ name, admits }) => ours.has(name) && !admits && readNativeName(markKey, name).kind === "ours",
  );
  if (orphaned.length === 0) return [];
  const names = orphaned.map(({ name }) => name);
  return [
    missing(
      `\`${admin.user}\` may not end ${nameList(names)}, which another administrator made`,
      `grant ${names.slice(0, 50).map(quoteIdent).join(", ")} to ${quoteIdent(admin.user)} with admin option;`,
    ),
  ];
}
