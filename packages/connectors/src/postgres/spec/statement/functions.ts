/**
 * Which functions only compute. A function that reads tables, runs SQL text, or acts on the server, other sessions, files or sequences is an
 * action of its own (`sql.call`), whatever statement it stands in; the others come with every session.
 *
 * The lists were made by looking through the functions of PostgreSQL 15 to 18. A newer server is refused until somebody has looked at its.
 */
import type { FunctionFact } from "./facts.ts";

/** Volatile functions of the server that change nothing outside the session and tell nothing that every login may not know. */
export const harmlessVolatile: ReadonlySet<string> = new Set(
  `array_sample array_shuffle clock_timestamp current_query currval gen_random_uuid lastval random random_normal setseed timeofday uuidv4 uuidv7
  pg_sleep pg_sleep_for pg_sleep_until
  pg_relation_size pg_table_size pg_indexes_size pg_total_relation_size pg_database_size pg_tablespace_size pg_partition_ancestors pg_partition_tree
  pg_is_in_recovery pg_is_wal_replay_paused pg_get_wal_replay_pause_state pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp
  pg_current_wal_lsn pg_current_wal_insert_lsn pg_current_wal_flush_lsn
  pg_blocking_pids pg_safe_snapshot_blocking_pids pg_lock_status pg_prepared_xact pg_export_snapshot pg_notification_queue_usage
  pg_xact_status txid_status pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_last_committed_xact pg_get_multixact_members
  pg_collation_actual_version pg_database_collation_actual_version pg_jit_available pg_get_wait_events
  pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system
  pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all
  pg_stat_clear_snapshot pg_stat_force_next_flush pg_stat_have_stats pg_stat_get_backend_io pg_stat_get_backend_wal pg_stat_get_io
  pg_stat_get_recovery_prefetch pg_stat_get_xact_blocks_fetched pg_stat_get_xact_blocks_hit pg_stat_get_xact_function_calls
  pg_stat_get_xact_function_self_time pg_stat_get_xact_function_total_time pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted
  pg_stat_get_xact_tuples_fetched pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_inserted pg_stat_get_xact_tuples_newpage_updated
  pg_stat_get_xact_tuples_returned pg_stat_get_xact_tuples_updated amvalidate`.split(/\s+/),
);

/** Stable functions of the server that run SQL, read a table that their arguments name, or show what other sessions do. */
export const reachingStable: ReadonlySet<string> = new Set(
  `table_to_xml table_to_xmlschema table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema
  database_to_xml database_to_xmlschema database_to_xml_and_xmlschema
  pg_stat_get_activity pg_stat_get_backend_activity pg_stat_get_backend_client_addr pg_stat_get_backend_client_port pg_stat_get_progress_info
  pg_stat_get_wal_receiver pg_stat_get_wal_senders pg_config pg_column_toast_chunk_id`.split(/\s+/),
);

/** Functions that do no more than compute from their arguments, or tell what every login may know. */
export function isHarmless(fact: FunctionFact): boolean {
  if (fact.definer) return false;
  if (fact.system) {
    switch (fact.volatility) {
      case "immutable":
        return true;
      case "stable":
        return !reachingStable.has(fact.name);
      case "volatile":
        return harmlessVolatile.has(fact.name);
    }
  }
  // A superuser vouches for code in C. Other languages may call what they like and still be declared immutable; an aggregate is as good as its parts.
  return fact.volatility === "immutable" && isCompiled(fact) && (fact.kind === "function" || fact.kind === "window");
}

/** Functions behind operators: extensions declare many of these stable, since they depend on a setting. */
export function isHarmlessOperator(fact: FunctionFact): boolean {
  return isHarmless(fact) || (!fact.definer && !fact.system && fact.volatility === "stable" && isCompiled(fact));
}

function isCompiled(fact: FunctionFact): boolean {
  return fact.language === "c" || fact.language === "internal";
}

export function takes(fact: FunctionFact, args: number): boolean {
  return fact.minArgs <= args && args <= fact.maxArgs;
}

/** Shows where sequences stand, any of them: the same as reading all. `pg_dump` asks so. */
export function readsSequences(fact: FunctionFact): boolean {
  return fact.system && fact.name === "pg_get_sequence_data";
}

/** Takes and keeps a lock under a number of the caller's choice. */
export function takesAdvisoryLock(name: string): boolean {
  return /^pg_(?:try_)?advisory_(?:xact_)?lock(?:_shared)?$/.test(name);
}

/** Works on large objects, which have privileges of their own. */
export function worksOnLargeObjects(name: string): boolean {
  return name.startsWith("lo_") || name === "loread" || name === "lowrite";
}
