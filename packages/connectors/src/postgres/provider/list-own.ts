/** What at the server bears our mark, and the tidying of what is ours and needed by nobody. */
import { z } from "zod";
import { readNativeName } from "@cardea/core/contract/native-name";
import type { Listing, OwnObject, ProviderLog } from "../../connector.ts";
import { CardeaError, type ErrorCode } from "@cardea/core/contract/errors";
import type { Admin } from "./admin.ts";
import { ensureBundle, readBundle, removeBundle } from "./bundles.ts";
import { isLoginSql, makerComment } from "./makers.ts";
import { clearBundle, holderName } from "./owned.ts";
import { quoteIdent } from "./quoting.ts";
import { rowsOf, type Server } from "./server.ts";

export interface ListContext {
  readonly server: Server;
  readonly admin: Admin;
  readonly markKey: Uint8Array;
  readonly memberRoles: ReadonlySet<string>;
  readonly log: ProviderLog;
  /** Runs work on a bundle or maker that no key is being made with; not at all where one is. */
  readonly unlessInUse: (role: string, work: () => Promise<boolean>) => Promise<boolean>;
}

const Row = z.object({
  name: z.string(),
  comment: z.string().nullable(),
  sessions: z.int(),
  members: z.int(),
  /** Logins that it made. */
  logins: z.int(),
  owns: z.boolean(),
  altered: z.boolean(),
});
type Row = z.infer<typeof Row>;

/** The form of our names, so that the server sorts out all but ours and forgeries. */
const listSql = `select r.rolname::text as name, shobj_description(r.oid, 'pg_authid') as comment,
    coalesce(a.sessions, 0) as sessions, coalesce(m.members, 0) as members, coalesce(made.logins, 0) as logins,
    exists (select from pg_shdepend d where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid and d.deptype = 'o') as owns,
    (r.rolcanlogin or exists (select from pg_db_role_setting s where s.setrole = r.oid)) as altered
  from pg_roles r
  left join (select usesysid, count(*)::int as sessions from pg_stat_get_activity(null) group by 1) a on a.usesysid = r.oid
  left join (select roleid, count(*)::int as members from pg_auth_members
              where member <> (select oid from pg_roles where rolname = current_user) and not admin_option group by 1) m on m.roleid = r.oid
  left join (select member, count(*)::int as logins from pg_auth_members join pg_roles l on l.oid = roleid and ${isLoginSql("l.rolname")}
              where admin_option group by 1) made on made.member = r.oid
  where r.rolname ~ '^cardea_[0-9a-z]{25}$' order by 1`;

/** Lists, brings bundles up to date with their patterns, and removes those that are unused and own nothing. */
export async function listOwn(context: ListContext, signal: AbortSignal): Promise<Listing> {
  const { server, markKey } = context;
  await server.settle(signal);
  const [rows] = await server.read(server.home, listSql, signal);
  const ours: OwnObject[] = [];
  const forged: string[] = [];
  for (const row of rowsOf(Row, rows)) {
    const mark = readNativeName(markKey, row.name);
    if (mark.kind === "forged") forged.push(row.name);
    if (mark.kind !== "ours") continue;
    const what = mark.deadlineMs > 0 ? "login" : isHolder(markKey, row) ? "holder" : "bundle";
    if (what !== "login" && (await tidy(context, row, what, signal)) === "removed") continue;
    ours.push({ nativeName: row.name, what, deadlineMs: mark.deadlineMs, sessions: row.sessions });
  }
  return { ours, forged };
}

/** Makers are listed with the holder: of both, only their presence matters. */
function isHolder(markKey: Uint8Array, row: Row): boolean {
  return row.name === holderName(markKey) || row.comment === makerComment;
}

async function tidy(
  context: ListContext,
  row: Row,
  what: "bundle" | "holder",
  signal: AbortSignal,
): Promise<"removed" | "kept"> {
  const { server, admin, markKey, log } = context;
  const unused = row.members === 0 && row.logins === 0 && !row.owns;
  if (unused && (await context.unlessInUse(row.name, () => removeBundle(server, row.name, signal)))) return "removed";
  if (what === "holder" || unused) return "kept";
  if (row.altered) {
    log.warn({ role: row.name }, "a bundle was altered by somebody");
    await server.change(
      server.home,
      `alter role ${quoteIdent(row.name)} nologin; alter role ${quoteIdent(row.name)} reset all`,
      signal,
    );
  }
  if (row.owns) {
    log.warn({ role: row.name }, "a bundle owns something, which a key must have left on it");
    await tolerating(context, row.name, "lease_stuck", () => clearBundle(context, row.name, signal));
  }
  const bundle = readBundle(markKey, row.name, row.comment);
  if (bundle === undefined)
    log.warn({ role: row.name }, "a bundle does not say what it gives, so it cannot be kept up to date");
  else
    await tolerating(context, row.name, "resource_privilege_missing", () =>
      ensureBundle(server, admin, bundle, signal),
    );
  return "kept";
}

/** What is said elsewhere too (at the end of a lease, at inspection) must not stop the listing. */
async function tolerating(
  { log }: ListContext,
  role: string,
  code: ErrorCode,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof CardeaError) || error.code !== code) throw error;
    log.warn({ role, why: error.message }, "a bundle could not be put in order");
  }
}
