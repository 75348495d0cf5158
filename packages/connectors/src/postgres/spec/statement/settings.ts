/** Which settings a session may change by itself, which need `sql.admin`, and which never change. */

/** They decide what a text means or whose rights it has. Changed to anything but this value (or at all), nothing could be judged any more. */
const pinned: ReadonlyMap<string, readonly string[]> = new Map([
  ["standard_conforming_strings", ["on", "true", "yes", "1"]],
  ["client_encoding", ["utf8", "utf-8", "unicode"]],
  ["role", []],
  ["session_authorization", []],
  ["session_preload_libraries", []],
  ["local_preload_libraries", []],
  ["session_replication_role", []],
  ["backslash_quote", []],
  ["is_superuser", []],
]);

/** Formats, time-outs, planning, and what drivers and dumps set. `search_path` is among them: whoever follows its effect looks names up anew. */
const free = new Set(
  `application_name array_nulls bytea_output check_function_bodies client_min_messages cursor_tuple_fraction datestyle
  default_statistics_target default_table_access_method default_tablespace default_text_search_config default_toast_compression
  default_transaction_deferrable default_transaction_isolation default_transaction_read_only escape_string_warning
  extra_float_digits gin_fuzzy_search_limit idle_in_transaction_session_timeout idle_session_timeout intervalstyle lc_monetary lc_numeric lc_time
  lock_timeout max_parallel_workers_per_gather plan_cache_mode quote_all_identifiers restrict_nonsystem_relation_kind row_security
  search_path seed statement_timeout synchronize_seqscans tcp_keepalives_count tcp_keepalives_idle tcp_keepalives_interval tcp_user_timeout
  timezone timezone_abbreviations transaction_deferrable transaction_isolation transaction_read_only transaction_timeout
  transform_null_equals work_mem xmlbinary xmloption constraint_exclusion from_collapse_limit join_collapse_limit jit geqo
  random_page_cost seq_page_cost cpu_tuple_cost cpu_index_tuple_cost cpu_operator_cost effective_cache_size hash_mem_multiplier
  parallel_setup_cost parallel_tuple_cost min_parallel_table_scan_size min_parallel_index_scan_size effective_io_concurrency
  jit_above_cost jit_inline_above_cost jit_optimize_above_cost recursive_worktable_factor client_connection_check_interval`.split(
    /\s+/,
  ),
);

export type SettingVerdict = "free" | "admin" | "pinned";

/** `value` in lower case; `undefined`: unknown, or back to the default, which is the pinned value. */
export function settingVerdict(name: string, value: string | undefined, isReset: boolean): SettingVerdict {
  const allowed = pinned.get(name);
  if (allowed !== undefined) {
    if (isReset) return "free";
    if ((name === "role" && value === "none") || (value !== undefined && allowed.includes(value.toLowerCase())))
      return "free";
    return "pinned";
  }
  return free.has(name) || name.startsWith("enable_") ? "free" : "admin";
}

/** Settings that the server shows to superusers and members of `pg_read_all_settings` alone, of 15 to 18. */
const confidential = new Set(
  `config_file data_directory dynamic_library_path extension_control_path extension_destdir external_pid_file hba_file ident_file jit_provider
  krb_server_keyfile log_directory log_filename oauth_validator_libraries primary_conninfo session_preload_libraries shared_preload_libraries
  ssl_ciphers ssl_dh_params_file ssl_ecdh_curve ssl_groups ssl_max_protocol_version ssl_min_protocol_version ssl_passphrase_command
  ssl_tls13_ciphers unix_socket_directories`.split(/\s+/),
);

/** `undefined`: any; a setting of an extension may be confidential too. */
export function isConfidential(name: string | undefined): boolean {
  return name === undefined || name === "all" || name.includes(".") || confidential.has(name.toLowerCase());
}
