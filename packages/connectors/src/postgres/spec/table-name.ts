/**
 * Names of tables as configuration and permissions write them: `public.orders`, `public.*`, `"odd.schema"."Odd ""table"""`.
 * A part in double quotes may hold anything; one without stands for exactly itself (`public.Orders` is the table `Orders`:
 * nothing is folded to lower case). Each table has one canonical text, so that core can compare permissions as text.
 */

/** A table, or with `table: "*"` unquoted every table of the schema. */
export interface TableName {
  readonly schema: string;
  /** `undefined`: every table of the schema, later ones included. */
  readonly table: string | undefined;
}

/** PostgreSQL truncates longer names, so that two of them could meet in one. */
export const maxIdentifierBytes = 63;

const plainPart = /^[\p{L}_][\p{L}\p{N}_$]*$/u;
const part = `"(?:[^"]|"")+"|[^".*\\s]+`;
const whole = new RegExp(`^(${part})\\.(${part}|\\*)$`, "u");

/** The table behind a text, or `undefined` where it is not of the form `schema.table` or `schema.*`. */
export function parseTableName(text: string): TableName | undefined {
  const [, schemaText, tableText] = whole.exec(text) ?? [];
  if (schemaText === undefined || tableText === undefined) return undefined;
  const schema = parseIdentifier(schemaText);
  if (schema === undefined) return undefined;
  if (tableText === "*") return { schema, table: undefined };
  const table = parseIdentifier(tableText);
  return table === undefined ? undefined : { schema, table };
}

/** The one canonical text of a table name. */
export function formatTableName(name: TableName): string {
  return `${formatIdentifier(name.schema)}.${name.table === undefined ? "*" : formatIdentifier(name.table)}`;
}

/** A single name, quoted or not: what it stands for, or `undefined` where it can be no name in PostgreSQL. */
export function parseIdentifier(text: string): string | undefined {
  const quoted = /^"((?:[^"]|"")+)"$/u.exec(text)?.[1];
  const name = quoted === undefined ? text : quoted.replaceAll('""', '"');
  if (quoted === undefined && !plainPart.test(name)) return undefined;
  const fits = name.isWellFormed() && !name.includes("\0") && Buffer.byteLength(name) <= maxIdentifierBytes;
  return fits ? name : undefined;
}

/** The canonical text of one name. */
export function formatIdentifier(name: string): string {
  return plainPart.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
