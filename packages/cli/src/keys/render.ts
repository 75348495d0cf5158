/** How a delivered key is handed to a program: environment, connection string, passfile, JSON or a template. Never on a command line. */
import type { DeliveredKey } from "@cardea/core/wire/delivery";
import { CardeaError } from "@cardea/core/contract/errors";

/** One line of a PostgreSQL passfile; `:` and `\` are escaped as its manual says. */
export function passfileLine(key: DeliveredKey): string {
  const { host, port, database } = endpointOf(key);
  return [host, port, database, key.user, key.secret].map((field) => field.replace(/[\\:]/g, "\\$&")).join(":");
}

/**
 * A connection URI as libpq and drivers read it (RFC 3986 escapes everything that means something).
 * @param caFile where the authority that the key came with was written
 */
export function connectionUri(key: DeliveredKey, caFile?: string): string {
  const { host, port, database, sslmode } = endpointOf(key);
  const authority = host.includes(":") ? `[${host}]` : uriPart(host);
  const query = [
    ...(sslmode === "" ? [] : [`sslmode=${uriPart(sslmode)}`]),
    ...(caFile === undefined ? [] : [`sslrootcert=${uriPart(caFile)}`]),
  ].join("&");
  const address = `postgresql://${uriPart(key.user)}:${uriPart(key.secret)}@${authority}:${port}/${uriPart(database)}`;
  return query === "" ? address : `${address}?${query}`;
}

/** What libpq and most drivers read by themselves. */
export function libpqEnvironment(key: DeliveredKey, caFile?: string): Record<string, string> {
  return { ...libpqAddress(key, caFile), PGPASSWORD: key.secret };
}

/** The same without the secret. */
export function libpqAddress(key: DeliveredKey, caFile?: string): Record<string, string> {
  const { host, port, database, sslmode } = endpointOf(key);
  return {
    PGHOST: host,
    PGPORT: port,
    PGDATABASE: database,
    PGUSER: key.user,
    ...(sslmode !== "" && { PGSSLMODE: sslmode }),
    ...(caFile !== undefined && { PGSSLROOTCERT: caFile }),
  };
}

/** Fills `{{user}}`, `{{secret}}`, `{{host}}`, `{{port}}`, `{{database}}`, `{{caFile}}`, `{{uri}}`, `{{notAfter}}`; other braces stay. */
export function fillTemplate(template: string, key: DeliveredKey, caFile?: string): string {
  const { host, port, database } = endpointOf(key);
  const values = new Map(
    Object.entries({
      user: key.user,
      secret: key.secret,
      host,
      port,
      database,
      caFile: caFile ?? "",
      uri: connectionUri(key, caFile),
      notAfter: key.notAfter,
    }),
  );
  return template.replace(/\{\{\s*([a-zA-Z]+)\s*\}\}/g, (whole, name: string) => values.get(name) ?? whole);
}

function endpointOf({ endpoint, kind }: DeliveredKey) {
  const text = (name: string): string => {
    const value = endpoint[name];
    return Array.isArray(value) ? (value[0] ?? "") : value === undefined ? "" : String(value);
  };
  const database = text("database");
  const address = {
    host: text("host"),
    port: text("port"),
    database: database === "" ? text("databases") : database,
    sslmode: text("sslmode"),
  };
  if (address.host === "" || address.port === "")
    throw new CardeaError("usage", `a key of kind \`${kind}\` has no host and port; take it by --key-as json`);
  return address;
}

function uriPart(text: string): string {
  // `encodeURIComponent` leaves these, which RFC 3986 reserves.
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
