/**
 * The sample resource: a shop's database with believable rows, the native roles that its applications use, and an
 * administrator's login with just what Cardea needs. Development mode and the demo make it; Cardea itself never
 * treats it differently from anybody's own database.
 */
import { Client, type ClientConfig } from "pg";
import { shopConstraints, shopLending, shopPrivileges, shopRows, shopSchema } from "./shop-sql.ts";

/** The names that the sample configuration and the documentation use. */
export const shop = {
  database: "shop",
  /** Cardea's login: makes and removes leases. */
  admin: "cardea_admin",
  /** Owns database and tables; for `ddl.as`. */
  owner: "app_owner",
  readOnly: "app_ro",
  readWrite: "app_rw",
} as const;

export interface ShopOptions {
  /** A superuser's way into a database of the cluster. */
  readonly superuser: (database: string) => ClientConfig;
  /** The password that {@link shop.admin} has afterwards. */
  readonly adminPassword: string;
  /** For the whole. Default 60,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Makes what is missing of the shop; rows that are there stay as they are. Safe to repeat, to interrupt and to run
 * twice at once. PostgreSQL 15 or newer. Answers whether the rows were made by this call.
 * @throws DatabaseError as PostgreSQL gives it, or the signal's reason
 */
export async function ensureShop(options: ShopOptions): Promise<{ readonly made: boolean }> {
  const deadline = AbortSignal.timeout(options.timeoutMs ?? 60_000);
  const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
  await withClient(options.superuser("postgres"), signal, async (client) => {
    await client.query("begin");
    await oneAtATime(client);
    await ensureRoles(client);
    await setAdminPassword(client, options.adminPassword);
    await client.query("commit");
    await ensureDatabase(client);
  });
  return withClient(options.superuser(shop.database), signal, async (client) => {
    await client.query("begin");
    await oneAtATime(client);
    const made = await ensureContent(client);
    await client.query(shopLending);
    await client.query("commit");
    if (made) await client.query("analyze");
    return { made };
  });
}

async function withClient<T>(
  config: ClientConfig,
  signal: AbortSignal,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const client = new Client({ ...config, connectionTimeoutMillis: 10_000, application_name: "cardea sample" });
  client.on("error", () => undefined); // a broken connection fails the query that waits on it
  const abort = (): void => void client.end().catch(() => undefined);
  signal.addEventListener("abort", abort);
  try {
    await client.connect();
    return await use(client);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
    await client.end().catch(() => undefined);
  }
}

/** Until the end of the transaction. The number is arbitrary and only ours. */
async function oneAtATime(client: Client): Promise<void> {
  await client.query("select pg_advisory_xact_lock(7426953201)");
}

/**
 * The administrator is no superuser and owns nothing. CREATEROLE makes logins; ADMIN on the applications' roles lets it give them, and on the
 * owner lend that to an approved change of tables (and on 16+, without INHERIT and SET, not use them itself; before, ADMIN brings both along); `pg_signal_backend` closes the sessions of logins that
 * it is no member of. `createrole_self_grant` stays unset: it can give itself a login's objects when it needs to move
 * them, and inherits nothing otherwise.
 */
async function ensureRoles(client: Client): Promise<void> {
  const { rows } = await client.query<{ rolname: string }>("select rolname from pg_roles");
  const present = new Set(rows.map((row) => row.rolname));
  for (const role of [shop.owner, shop.readOnly, shop.readWrite])
    if (!present.has(role)) await client.query(`create role ${role} nologin`);
  if (!present.has(shop.admin)) await client.query(`create role ${shop.admin}`);
  await client.query(
    `alter role ${shop.admin} login createrole inherit nosuperuser nocreatedb noreplication nobypassrls`,
  );
  const major = await client.query<{ major: number }>(
    "select current_setting('server_version_num')::int / 10000 as major",
  );
  const withAdmin =
    (major.rows[0]?.major ?? 0) >= 16 ? "with admin true, inherit false, set false" : "with admin option";
  await client.query(`grant ${shop.readOnly}, ${shop.readWrite}, ${shop.owner} to ${shop.admin} ${withAdmin}`);
  await client.query(`grant pg_signal_backend to ${shop.admin}`);
}

async function setAdminPassword(client: Client, password: string): Promise<void> {
  await client.query("set local password_encryption = 'scram-sha-256'");
  await client.query("set local log_min_error_statement = 'panic'"); // the statement holds the password
  await client.query("set local log_statement = 'none'");
  await client.query(`alter role ${shop.admin} password ${client.escapeLiteral(password)}`);
}

async function ensureDatabase(client: Client): Promise<void> {
  // A database cannot be made in a transaction, so a session's lock stands for one.
  await client.query("select pg_advisory_lock(7426953202)");
  const { rowCount } = await client.query("select from pg_database where datname = $1", [shop.database]);
  if (rowCount === 0) await client.query(`create database ${shop.database} owner ${shop.owner}`);
  await client.query(`grant connect on database ${shop.database} to ${shop.admin}`);
  await client.query("select pg_advisory_unlock(7426953202)");
}

/** All in the caller's transaction, as the owner from here on: the last table is there only if everything is. */
async function ensureContent(client: Client): Promise<boolean> {
  await client.query(`set local role ${shop.owner}`);
  await client.query("set local search_path = public");
  const { rows } = await client.query<{ there: boolean }>("select to_regclass('public.payments') is not null as there");
  if (rows[0]?.there === true) return false;
  for (const part of [shopSchema, shopRows, shopConstraints, shopPrivileges]) await client.query(part);
  return true;
}
