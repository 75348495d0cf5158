/**
 * Makes a login with its memberships in one transaction and one round trip; beside it, looks at what the roles are at this moment. What
 * the look finds wanting is put right, or the login is ended again, before the secret leaves this file.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import { readNativeName } from "@cardea/core/contract/native-name";
import { toTime } from "@cardea/core/documents/primitives";
import type { CreatedLogin, LeaseOrder, ProviderHost } from "../../connector.ts";
import type { PostgresConfig } from "../spec/config.ts";
import type { Admin } from "./admin.ts";
import { grantsIn, lackingSql } from "./bundle-plan.ts";
import { ensureBundle } from "./bundles.ts";
import { hasState } from "./faults.ts";
import { inNameOf, type Makers } from "./makers.ts";
import { membershipOptions, nativeRolesOf, type Membership } from "./membership.ts";
import { quoteIdent, quoteLiteral } from "./quoting.ts";
import { reachSql, RoleFlaws } from "./role-safety.ts";
import { newLoginSecret } from "./scram.ts";
import { rowsOf, tlsMode, type Server } from "./server.ts";

export interface CreateContext {
  readonly server: Server;
  readonly admin: Admin;
  readonly config: PostgresConfig;
  readonly host: ProviderHost;
  readonly makers: Makers;
  /** In whose name the login is made; see `makers.ts`. */
  readonly maker: string | undefined;
  /** Ends the login again, as the provider's own `end` does. Its faults say `maybe`: the login is there. */
  readonly end: (nativeName: string) => Promise<void>;
}

/** How often a login or a bundle that comes or goes between two steps is met with another try. */
const maxTurns = 5;

/** The order of a login, whatever it is to be a member of. */
export type LoginOrder = Pick<LeaseOrder, "lease" | "nativeName" | "notAfterMs" | "sessions" | "via">;

/** Makes the login of an order, in place of whatever an earlier call for the same order left. */
export async function createLogin(
  context: CreateContext,
  order: LoginOrder,
  membership: Membership,
  signal: AbortSignal,
): Promise<CreatedLogin> {
  const { server, admin, config } = context;
  if (readNativeName(context.host.markKey, order.nativeName).kind !== "ours") {
    throw new TypeError(`\`${order.nativeName}\` is not the name of a login of ours`);
  }
  const roles = nativeRolesOf(membership);
  const secret = newLoginSecret(context.host.random);
  let prepared = false;
  for (let turn = 1; ; turn++) {
    // Side by side, since the server spends some 3 ms on hashing. Both are awaited before anything is judged.
    const [made, looked] = await Promise.allSettled([
      secret.then(({ verifier }) => server.change(server.home, loginSql(order, membership, verifier, context), signal)),
      look(server, admin, membership, roles, signal),
    ]);
    if (made.status === "fulfilled") {
      try {
        await judge(context, order, membership, roles, made.value.at(-2), settled(looked), signal);
        return { user: order.nativeName, secret: (await secret).secret, endpoint: endpoint(config) };
      } catch (error) {
        // The login is there and nobody has its secret. A crash here leaves it to recovery, which ends it in the same way.
        await context.end(order.nativeName);
        throw error;
      }
    }
    if (turn === maxTurns) throw made.reason;
    const refused = hasState(made.reason, "22023") || hasState(made.reason, "42501");
    if (refused && context.maker !== undefined && !prepared) {
      // 22023: the maker is not there; 42501: it may not be used, or may not admit to the role yet.
      prepared = await prepare(context, membership, roles, context.maker, signal);
    } else if (hasState(made.reason, "42704") && membership.kind === "bundle") {
      await ensureBundle(server, admin, membership.bundle, signal);
    } else if (hasState(made.reason, "42710") || hasState(made.reason, "23505")) {
      // An earlier call was done though it was reported as failed. Its secret is nobody's: begin afresh.
      await context.end(order.nativeName);
    } else throw made.reason;
  }
}

/** Readies the maker, or the bundle that it lacks; answers whether the maker is ready. */
async function prepare(
  { server, admin, makers }: CreateContext,
  membership: Membership,
  roles: readonly string[],
  maker: string,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await makers.prepare(maker, roles, signal);
    return true;
  } catch (error) {
    if (!hasState(error, "42704") || membership.kind !== "bundle") throw error;
    await ensureBundle(server, admin, membership.bundle, signal);
    return false;
  }
}

function settled<T>(outcome: PromiseSettledResult<T>): T {
  if (outcome.status === "rejected") throw outcome.reason;
  return outcome.value;
}

function loginSql(
  order: LoginOrder,
  membership: Membership,
  verifier: string,
  { admin, maker }: CreateContext,
): string {
  const name = quoteIdent(order.nativeName);
  const roles = nativeRolesOf(membership).map(quoteIdent).join(", ");
  const make = inNameOf(maker, [
    `create role ${name} login inherit password ${quoteLiteral(verifier)} valid until ${quoteLiteral(toTime(order.notAfterMs))}
      connection limit ${order.sessions ?? -1}`,
    ...(roles === "" ? [] : [`grant ${roles} to ${name}${membershipOptions(membership, admin)}`]),
    `comment on role ${name} is ${quoteLiteral(loginComment(order.lease, verifier))}`,
  ]);
  return `begin; ${make}; select r.rolname::text as name from pg_auth_members m join pg_roles r on r.oid = m.roleid
     where m.member = (select oid from pg_roles where rolname = ${quoteLiteral(order.nativeName)}); commit`;
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
  const flaws = new RoleFlaws();
  const complete = await Promise.all(
    server.databases.map(async (database) => {
      const lacking =
        membership.kind === "bundle"
          ? lackingSql(grantsIn(membership.bundle.grants, database), membership.bundle.name)
          : "select 0 as lacking";
      const [reach, rows] = await server.read(
        database,
        `${reachSql(roles, admin, server, database)};\n${lacking}`,
        signal,
      );
      flaws.addReach(reach);
      return rowsOf(z.object({ lacking: z.int() }), rows).every((row) => row.lacking === 0);
    }),
  );
  return { flaws: flaws.inWords(), current: !complete.includes(false) };
}

async function judge(
  { server, admin }: CreateContext,
  { via }: LoginOrder,
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
  for (const [role, why] of via === "gateway" ? [] : flaws)
    throw new CardeaError("resource_role_unsafe", `\`${role}\` may not be given to a direct key: ${why}`);
  if (membership.kind === "bundle" && !current) await ensureBundle(server, admin, membership.bundle, signal);
}

function endpoint(config: PostgresConfig): CreatedLogin["endpoint"] {
  const { host, port, databases } = config.connect;
  return { host, port, databases: [...databases], sslmode: tlsMode(config.connect) };
}
