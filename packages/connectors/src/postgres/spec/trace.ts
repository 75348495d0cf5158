/**
 * How a transaction is known again after a crash: its id together with the timeline of the server's write-ahead log, `742@00000001`. A server that
 * was promoted or restored goes on with ids that another history has used, so a trace of another timeline says nothing.
 *
 * An id that no record of the log bears on disk is given out again when the server crashes, and whoever has it then would be taken for us. So asking
 * for a trace writes such a record, which from 17 on is flushed at once. Before that nothing flushes it from inside a transaction: then the trace says
 * since when the server has not crashed (`742@00000001+20261122231500123456`), and is worth nothing after the next crash. Whoever commits
 * something durably afterwards has flushed it too, and may leave that out (`flushed`).
 */

export interface Trace {
  readonly transaction: string;
  readonly timeline: string;
  /** As `sinceSql` says it; absent where the trace outlives a crash. */
  readonly since?: string;
}

/** An SQL expression of the current transaction's trace; gives the transaction its id. `version`: the server's major version. */
export function traceSql(version: number): string {
  const emit = "pg_catalog.pg_logical_emit_message";
  const id = `pg_catalog.pg_current_xact_id(), '@', ${timelineSql}`;
  // Only a message that belongs to no transaction is flushed, and with it everything before.
  const [parts, flush] =
    version >= 17
      ? [id, `(select ${emit}(false, 'cardea', ''::pg_catalog.text, true) where marked.lsn is not null)`]
      : [`${id}, '+', ${sinceSql}`, "marked.lsn"];
  return `(select pg_catalog.concat(${parts})
    from (select ${emit}(true, 'cardea', ''::pg_catalog.text) offset 0) as marked(lsn) where ${flush} is not null)`;
}

/** The timeline that the server writes now. */
export const timelineSql = "pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)";

/** When the server's own counts began: at its making, its last crash, or when somebody reset them, which only costs an answer. */
export const sinceSql =
  "pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.pg_stat_get_bgwriter_stat_reset_time()), 'YYYYMMDDHH24MISSUS')";

/** The trace of a transaction whose record is on disk by now. */
export function flushed(trace: string): string {
  return trace.replace(/\+.*$/, "");
}

/** `undefined` for what is no trace of ours. */
export function readTrace(text: string): Trace | undefined {
  const [, transaction, timeline, since] = /^([1-9][0-9]{0,19})@([0-9A-F]{8})(?:\+([0-9]*))?$/.exec(text) ?? [];
  if (transaction === undefined || timeline === undefined) return undefined;
  return { transaction, timeline, ...(since === undefined ? {} : { since }) };
}
