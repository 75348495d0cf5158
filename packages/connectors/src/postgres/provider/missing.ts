/** What the administrator lacks, in words and as the SQL that the owner would run. */
import type { MissingPrivilege } from "@cardea/core/wire/link";
import type { Grant } from "../spec/privileges.ts";
import { formatTableName } from "../spec/table-name.ts";
import type { Admin } from "./admin.ts";
import { privilegeSql, type PlanRow } from "./bundle-plan.ts";
import { hex, invisible, quoteIdentVisibly as quoteIdent } from "./quoting.ts";

/** Lists get long with 2,000 tables; people read the first few. */
const namesShown = 10;

/** The rows of a plan that cannot be given, gathered by what they want. */
export function missingGrants(
  admin: Pick<Admin, "user">,
  grants: readonly Grant[],
  rows: readonly PlanRow[],
  database: string,
): readonly MissingPrivilege[] {
  const groups = new Map<string, PlanRow[]>();
  for (const row of rows) {
    const key = `${row.what} ${row.grant} ${row.what === "schema" ? "" : row.schema}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return [...groups.values()].map((group) => describe(admin, grants, group, database));
}

function describe(
  admin: Pick<Admin, "user">,
  grants: readonly Grant[],
  rows: readonly PlanRow[],
  database: string,
): MissingPrivilege {
  const to = `to ${quoteIdent(admin.user)} with grant option;`;
  const grant = grants[rows[0]?.grant ?? -1];
  const privilege = grant === undefined ? "" : privilegeSql(grant);
  const shown = nameList(rows.map((row) => formatTableName({ schema: row.schema, table: row.name })));
  const objects = (): string => rows.map((row) => `${quoteIdent(row.schema)}.${quoteIdent(row.name)}`).join(", ");
  const where = `in database \`${database}\``;
  switch (rows[0]?.what) {
    case "table":
      return missing(
        `\`${admin.user}\` may not grant ${privilege} on ${shown} ${where}`,
        `grant ${privilege} on table ${objects()} ${to}`,
      );
    case "sequence":
      return missing(
        `\`${admin.user}\` may not grant usage on the sequences ${shown} ${where}, which inserting needs`,
        `grant usage on sequence ${objects()} ${to}`,
      );
    case "schema": {
      const schemas = rows.map((row) => row.schema);
      return missing(
        `\`${admin.user}\` may not grant usage on the schemas ${nameList(schemas)} ${where}`,
        `grant usage on schema ${schemas.map(quoteIdent).join(", ")} ${to}`,
      );
    }
    case "database":
      return missing(
        `\`${admin.user}\` may not let others connect to database \`${database}\``,
        `grant connect on database ${quoteIdent(database)} ${to}`,
      );
    case "absent":
    case undefined:
      return missing(
        `${shown} ${where} does not exist${grant?.columns === undefined ? "" : " or lacks a column that the role names"}`,
      );
  }
}

/** One thing that is missing; its texts are cut to what a report holds and freed of what could bend a terminal. */
export function missing(what: string, fix?: string): MissingPrivilege {
  return { what: plain(what, 500), ...(fix === undefined || fix.length > 3_900 ? {} : { fix: plain(fix, 4_000) }) };
}

/** Names for people: the first few, then how many more. */
export function nameList(names: readonly string[]): string {
  const rest = names.length - namesShown;
  const shown = names
    .slice(0, namesShown)
    .map((name) => `\`${name}\``)
    .join(", ");
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}

/** Text that any report may hold: names of objects can contain control and bidirectional characters, which are shown by number. */
export function plain(text: string, maxLength: number): string {
  const visible = text.toWellFormed().replaceAll(invisible, (character) => `\\u${hex(character)}`);
  return visible.length > maxLength ? `${visible.slice(0, maxLength - 1).toWellFormed()}…` : visible;
}
