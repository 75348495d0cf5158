/**
 * What `EXECUTE` runs: the server's own word about the session's prepared statements, since `PREPARE`, `DEALLOCATE` and the protocol's Parse
 * share one name space and any of them may have failed.
 */
import type { ParsedText } from "../spec/statement/parser.ts";
import type { ParsedTexts } from "./parsed-texts.ts";

export const preparedStatementsQuery =
  "select name, statement, from_sql::pg_catalog.text from pg_catalog.pg_prepared_statements where name operator(pg_catalog.<>) 'cardea:inner' limit 1000";

export interface Prepared {
  /** The whole text in which it was prepared. */
  readonly parsed: ParsedText;
  /** By `PREPARE`, which then stands in the text; else the text itself. */
  readonly bySql: boolean;
}

/** By name; those whose text cannot be read are left out, so that they cannot be executed. */
export function readPrepared(
  rows: readonly (readonly (string | null | undefined)[])[],
  texts: ParsedTexts,
): ReadonlyMap<string, Prepared> {
  const found = new Map<string, Prepared>();
  for (const [name, text, bySql] of rows) {
    const parsed = typeof text === "string" ? texts.get(text) : undefined;
    if (typeof name === "string" && parsed?.is === "parsed") found.set(name, { parsed, bySql: bySql === "true" });
  }
  return found;
}
