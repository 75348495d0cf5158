/** Who we are at the server and what it is: looked up once a connection generation, since a server changes only by a restart. */
import { z } from "zod";
import type { Server } from "./server.ts";
import { rowsOf } from "./server.ts";

const Row = z.object({
  version: z.int(),
  release: z.string(),
  user: z.string(),
  superuser: z.boolean(),
  createRole: z.boolean(),
  inherits: z.boolean(),
  signals: z.boolean(),
  readsVerifiers: z.boolean(),
  standby: z.boolean(),
  atMs: z.number(),
});

/** The administrator and the server. */
export interface Admin extends z.infer<typeof Row> {
  /** From PostgreSQL 16 on each membership says by itself whether it inherits and whether `SET ROLE` works. */
  readonly grantOptions: boolean;
}

export async function readAdmin(server: Server, signal: AbortSignal): Promise<Admin> {
  const [rows] = await server.read(
    server.home,
    `select current_setting('server_version_num')::int as version, current_setting('server_version') as release, rolname as "user",
            rolsuper as superuser, rolcreaterole as "createRole", rolinherit as inherits,
            pg_has_role('pg_signal_backend', 'usage') as signals,
            has_table_privilege('pg_authid', 'select') as "readsVerifiers", pg_is_in_recovery() as standby,
            extract(epoch from clock_timestamp())::float8 * 1000 as "atMs"
       from pg_roles where rolname = current_user`,
    signal,
  );
  const [row] = rowsOf(Row, rows);
  if (row === undefined) throw new TypeError("the server does not know who we are");
  return { ...row, grantOptions: row.version >= 160_000 };
}
