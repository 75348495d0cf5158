/**
 * What a role of the kind `grant` gives, in three forms: as configuration writes it, as permissions (patterns) that policy and
 * approvers compare and narrow, and as table privileges that PostgreSQL knows. Pure; a narrowed permission compiles back to exactly
 * the privileges it leaves, or not at all.
 */
import type { Facet, Pattern } from "@cardea/core/documents/pattern";
import { ok, refused, type Result } from "@cardea/core/lib/result";
import { formatTableName, parseIdentifier, parseTableName, type TableName } from "./table-name.ts";

/** The table privileges that Cardea grants. Ownership, triggers and references are never given. */
export const privilegeNames = ["select", "insert", "update", "delete", "truncate"] as const;
export type PrivilegeName = (typeof privilegeNames)[number];

/** One privilege as configuration writes it: `select`, `update(status, note)`. */
export interface Privilege {
  readonly name: PrivilegeName;
  /** Sorted; absent: every column. */
  readonly columns?: readonly string[];
}

/** One thing that a bundle gives. */
export interface Grant extends Privilege {
  readonly databases: readonly string[];
  /** Canonical texts, sorted. */
  readonly tables: readonly string[];
}

const actionOf: Record<PrivilegeName, string> = {
  select: "sql.select",
  insert: "sql.insert",
  update: "sql.update",
  delete: "sql.delete",
  truncate: "sql.truncate",
};
const privilegeOf = new Map(privilegeNames.map((name) => [actionOf[name], name]));

/** PostgreSQL has these per column too. */
const columnPrivileges: readonly PrivilegeName[] = ["select", "insert", "update"];

const written = /^([a-z]+)(?:\s*\((.*)\))?$/su;
const columnList = /\s*("(?:[^"]|"")+"|[^",()\s]+)\s*(?:,|$)/gsuy;

/** Reads one privilege of the configuration. */
export function parsePrivilege(text: string): Result<Privilege, "invalid_privilege"> {
  const [, word, columns] = written.exec(text.trim()) ?? [];
  const name = privilegeNames.find((candidate) => candidate === word);
  if (name === undefined) {
    return refused("invalid_privilege", `\`${text}\` is not a privilege, write one of ${privilegeNames.join(", ")}`);
  }
  if (columns === undefined) return ok({ name });
  if (!columnPrivileges.includes(name)) {
    return refused("invalid_privilege", `\`${name}\` cannot be given for columns, only ${columnPrivileges.join(", ")}`);
  }
  const names = parseColumns(columns);
  return names === undefined
    ? refused("invalid_privilege", `\`${text}\` has no list of columns such as \`${name}(status, note)\``)
    : ok({ name, columns: names });
}

function parseColumns(text: string): readonly string[] | undefined {
  const names: string[] = [];
  columnList.lastIndex = 0;
  while (columnList.lastIndex < text.length) {
    const match = columnList.exec(text);
    const name = match?.[1] === undefined ? undefined : parseIdentifier(match[1]);
    if (name === undefined) return undefined;
    names.push(name);
  }
  return names.length === 0 || text.trimEnd().endsWith(",") ? undefined : sorted(names);
}

/** The permission that a privilege on tables amounts to. */
export function toPattern(privilege: Privilege, tables: readonly TableName[], databases: readonly string[]): Pattern {
  return {
    name: actionOf[privilege.name],
    facets: {
      databases: { matcher: "set", values: sorted(databases) },
      tables: { matcher: "names", values: sorted(tables.map(formatTableName)) },
      ...(privilege.columns === undefined
        ? {}
        : { columns: { matcher: "set", values: sorted(privilege.columns) } satisfies Facet }),
    },
  };
}

/**
 * The privileges that enforce exactly these permissions, in one canonical order: equal permissions give equal bytes, whatever
 * order they came in. Refused where PostgreSQL's privileges cannot say it.
 */
export function toGrants(patterns: readonly Pattern[]): Result<readonly Grant[], "narrowing_unenforceable"> {
  const grants: Grant[] = [];
  for (const pattern of patterns) {
    const grant = toGrant(pattern);
    if (!grant.ok) return grant;
    grants.push(grant.value);
  }
  const texts = sorted(grants.map((grant) => JSON.stringify(grant)));
  // Each text is one of the grants above, written a line ago.
  return ok(texts.map((text) => JSON.parse(text) as Grant));
}

function toGrant(pattern: Pattern): Result<Grant, "narrowing_unenforceable"> {
  const name = privilegeOf.get(pattern.name);
  if (name === undefined) return unenforceable(`no table privilege gives \`${pattern.name}\``);
  const { databases, tables, columns, ...others } = pattern.facets ?? {};
  const [other] = Object.keys(others);
  if (other !== undefined) return unenforceable(`no table privilege is limited by \`${other}\``);
  if (databases?.matcher !== "set" || tables?.matcher !== "names") {
    return unenforceable(`\`${pattern.name}\` names no databases or no tables`);
  }
  const names = tables.values.map(parseTableName);
  if (names.some((table) => table === undefined))
    return unenforceable(`\`${pattern.name}\` names something that is no table`);
  if (columns !== undefined && (columns.matcher !== "set" || !columnPrivileges.includes(name))) {
    return unenforceable(`\`${pattern.name}\` cannot be limited to columns`);
  }
  return ok({
    name,
    ...(columns?.matcher === "set" ? { columns: sorted(columns.values) } : {}),
    databases: sorted(databases.values),
    tables: sorted(tables.values),
  });
}

function unenforceable(detail: string): Result<never, "narrowing_unenforceable"> {
  return refused("narrowing_unenforceable", detail);
}

/** Without doubles, in one order everywhere (by UTF-16 code units, as canonical JSON sorts its keys). */
function sorted(values: readonly string[]): string[] {
  return [...new Set(values)].sort((a, b) => (a < b ? -1 : 1));
}
