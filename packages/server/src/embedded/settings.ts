/**
 * How a server is listened on and set. All settings are on its command line, where a file or `ALTER SYSTEM` cannot change
 * them behind our back.
 */

/** A private folder for a Unix socket (no password asked), or one address and port (SCRAM), never both. */
export type Listen =
  | { readonly socketDir: string }
  | {
      /** A literal address, such as `127.0.0.1`: a name may stand for several, of which some can fail unseen. */
      readonly host: string;
      readonly port: number;
      /** The setting that the port comes from, named where it is taken: `CARDEA_SAMPLE_PORT`. */
      readonly setting?: string;
    };

/** What a `pg` client takes. */
export interface ClusterConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string;
  readonly database: string;
}

/** On a socket the port is no more than a part of the file's name. */
export const socketPort = 5432;

const ours: Readonly<Record<string, string>> = {
  timezone: "UTC",
  log_timezone: "UTC",
  lc_messages: "C", // failures are recognised by their words
  log_line_prefix: "%m [%p] ",
  log_min_error_statement: "panic", // a failed statement may hold a secret
  log_error_verbosity: "terse", // so may the values in an error's detail
  password_encryption: "scram-sha-256",
};

/** Arguments for the `postgres` program. What is listened on is not for `further` to say. */
export function serverArguments(dataDir: string, listen: Listen, further: Readonly<Record<string, string>>): string[] {
  const onSocket = "socketDir" in listen;
  const settings: Record<string, string> = {
    ...ours,
    ...further,
    listen_addresses: onSocket ? "" : listen.host,
    port: String(onSocket ? socketPort : listen.port),
    unix_socket_directories: onSocket ? `"${listen.socketDir.replaceAll('"', '""')}"` : "", // a list: a path may hold a comma
    unix_socket_permissions: "0700",
  };
  return ["-D", dataDir, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
}
