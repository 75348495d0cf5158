/**
 * Closes the sessions of logins that can no longer open new ones.
 *
 * Which backends there are is not enough to know: one that has just passed its login check is not in `pg_stat_activity` yet, and a
 * single round of `pg_terminate_backend` missed it. But every backend holds a virtual transaction id from before that check until it
 * is listed. So a look first notes who holds one, then reads the list: a login check that was passed before the login was shut is either
 * listed by then or among those noted and not listed. Only a look that finds neither is the last one.
 */
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import { quoteOids } from "./quoting.ts";
import { pause, rowsOf, type Server } from "./server.ts";

const Row = z.object({ kind: z.enum(["session", "starting", "entering"]), pid: z.int(), role: z.number() });
type Seen = z.infer<typeof Row>;

/**
 * A connection that waits for its client's password keeps its virtual transaction id for up to a minute, and will be refused. After
 * this long a backend that has not come as far as entering its database is taken for one of those.
 */
const startingGraceMs = 60;
const maxWaitMs = 8_000;

/** Two statements in one message: note who is starting, then end what is listed. The list is read after the note. */
export function closeSql(oids: readonly number[]): string {
  return `select set_config('cardea.starting', coalesce((select string_agg(pid::text, ',') from pg_locks
      where locktype = 'virtualxid' and pid <> pg_backend_pid()), ''), true);
    select 'session' as kind, pid, usesysid::int8::float8 as role, pg_terminate_backend(pid) from pg_stat_get_activity(null) where usesysid = any(${quoteOids(oids)})
    union all
    select case when exists (select from pg_locks l where l.pid = s.pid and l.locktype = 'object' and l.classid = 'pg_database'::regclass)
                then 'entering' else 'starting' end, s.pid, 0, null
      from unnest(string_to_array(nullif(current_setting('cardea.starting'), ''), ',')::int[]) as s(pid)
     where not exists (select from pg_stat_get_activity(null) a where a.pid = s.pid and (a.usesysid is not null or a.datid is not null))`;
}

/**
 * Ends sessions until none is left or can come; `first` is the answer to `closeSql` sent with the shutting commit. Answers how many
 * were ended of each login.
 * @throws CardeaError `lease_stuck` where sessions do not go
 */
export async function closeSessions(
  server: Server,
  oids: readonly number[],
  first: readonly unknown[] | undefined,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, number>> {
  const ended = new Map<number, Set<number>>(oids.map((oid) => [oid, new Set()]));
  let seen: readonly Seen[] = rowsOf(Row, first);
  for (let waitedMs = 0, stepMs = 1; ; stepMs = Math.min(stepMs * 2, 50)) {
    for (const { kind, pid, role } of seen) if (kind === "session") ended.get(role)?.add(pid);
    const open = seen.filter(({ kind }) => kind !== "starting" || waitedMs < startingGraceMs);
    if (open.length === 0) return new Map([...ended].map(([oid, pids]) => [oid, pids.size]));
    if (waitedMs > maxWaitMs) {
      throw new CardeaError(
        "lease_stuck",
        `sessions of the login do not end (backends ${open.map(({ pid }) => pid).join(", ")})`,
      );
    }
    await pause(stepMs, signal);
    waitedMs += stepMs;
    const [, rows] = await server.change(server.home, closeSql(oids), signal);
    seen = rowsOf(Row, rows);
  }
}
