/** How a delivered key is handed to a program: environment, connection string, passfile, JSON or a template. Never on a command line. */
import type { DeliveredKey } from "@cardea/core/contract/delivery";

/** One line of a PostgreSQL passfile; `:` and `\` are escaped as its manual says. */
export function passfileLine(key: DeliveredKey): string {
  const { host, port, database } = endpointOf(key);
  return [host, port, database, key.user, key.secret].map((field) => field.replace(/[\\:]/g, "\\$&")).join(":");
}

export function connectionUri(key: DeliveredKey): string {
  const { host, port, database, sslmode } = endpointOf(key);
  const authority = host.includes(":") ? `[${host}]` : host;
  const query = sslmode === "" ? "" : `?sslmode=${encodeURIComponent(sslmode)}`;
  return `postgresql://${encodeURIComponent(key.user)}:${encodeURIComponent(key.secret)}@${authority}:${port}/${encodeURIComponent(database)}${query}`;
}

/** What libpq and most drivers read by themselves. */
export function libpqEnvironment(key: DeliveredKey): Record<string, string> {
  const { host, port, database, sslmode } = endpointOf(key);
  return { PGHOST: host, PGPORT: port, PGDATABASE: database, PGUSER: key.user, PGPASSWORD: key.secret, ...(sslmode !== "" && { PGSSLMODE: sslmode }) };
}

/** Fills `{{user}}`, `{{secret}}`, `{{host}}`, `{{port}}`, `{{database}}`, `{{uri}}`, `{{notAfter}}`; other braces stay. */
export function fillTemplate(template: string, key: DeliveredKey): string {
  const { host, port, database } = endpointOf(key);
  const values: Record<string, string> = { user: key.user, secret: key.secret, host, port, database, uri: connectionUri(key), notAfter: key.notAfter };
  return template.replace(/\{\{\s*([a-zA-Z]+)\s*\}\}/g, (whole, name: string) => values[name] ?? whole);
}

function endpointOf({ endpoint }: DeliveredKey) {
  const text = (name: string) => {
    const value = endpoint[name];
    return Array.isArray(value) ? (value[0] ?? "") : value === undefined ? "" : String(value);
  };
  return { host: text("host"), port: text("port"), database: text("database") || text("databases"), sslmode: text("sslmode") };
}
