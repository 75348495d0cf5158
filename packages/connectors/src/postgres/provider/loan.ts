/**
 * What an exact action needs natively while it runs, from what its binding says that it touches. Pure: the same action always needs the same, so
 * that whoever takes back knows what was lent.
 */
import { CardeaError } from "@cardea/core/contract/errors";
import type { Pattern } from "@cardea/core/documents/pattern";
import type { Action } from "@cardea/core/documents/request";
import type { ActionName } from "../spec/actions.ts";
import type { PostgresConfig } from "../spec/config.ts";
import { toGrants, type Grant } from "../spec/privileges.ts";
import { SqlBinding, SqlWhat } from "../spec/statement/action.ts";
import { parseTableName } from "../spec/table-name.ts";
import { bundleOf } from "./bundles.ts";
import type { Loan } from "./membership.ts";

/** An action's document as this connector writes it. */
export interface SqlAction {
  readonly what: SqlWhat;
  readonly binding: SqlBinding;
}

type Part = SqlBinding["patterns"][number];

/** How each thing that is touched is given. */
const ways: Record<ActionName, "privilege" | "ownership" | "nothing" | "never"> = {
  "sql.select": "privilege",
  "sql.insert": "privilege",
  "sql.update": "privilege",
  "sql.delete": "privilege",
  "sql.truncate": "privilege",
  "sql.ddl.create": "ownership",
  "sql.ddl.alter": "ownership",
  "sql.ddl.drop": "ownership",
  "sql.session": "nothing",
  // Functions are PUBLIC's to call; where they are not, the server says so.
  "sql.call": "nothing",
  // Other names for what is listed beside them.
  "sql.merge": "nothing",
  "sql.copy.in": "nothing",
  "sql.copy.out": "nothing",
  "sql.grant": "never",
  "sql.admin": "never",
};

/** @throws CardeaError `action_refused` for what is no action of ours */
export function readAction(action: Action): SqlAction {
  const what = SqlWhat.safeParse(action.what);
  const binding = SqlBinding.safeParse(action.binding);
  if (action.type !== "sql" || !what.success || !binding.success)
    throw new CardeaError("action_refused", "it is not a statement with its binding");
  return { what: what.data, binding: binding.data };
}

/** @throws CardeaError `action_refused` where nothing can be lent that would let it run */
export function loanOf(config: PostgresConfig, markKey: Uint8Array, { what, binding }: SqlAction): Loan {
  const parts = binding.patterns.map((part) => ({ part, way: wayOf(part) }));
  const never = parts.find(({ way }) => way === "never");
  if (never !== undefined)
    throw refusedLoan(`what counts as \`${nameOf(never.part)}\` is never lent: let the resource's administrator do it`);
  if (!config.connect.databases.includes(what.database))
    throw refusedLoan(`the resource has no database \`${what.database}\``);
  if (binding.ddl || parts.some(({ way }) => way === "ownership")) {
    if (config.ddl === undefined)
      throw refusedLoan(
        "it defines things, and the resource names no role for that: set `ddl.as` in its configuration",
      );
    return { kind: "owner", role: config.ddl.as };
  }
  const grants = grantsOf(
    // What a change reads of its own table is not asked for by itself, and needed all the same.
    [...binding.patterns, ...binding.aspects].filter((part) => wayOf(part) === "privilege"),
    what.database,
  );
  return grants.length === 0 ? { kind: "nothing" } : { kind: "bundle", bundle: bundleOf(markKey, grants, "action") };
}

/** Facets that privileges do not know, such as `requireWhere`, are left out: they say less, never more, of what is touched. */
function grantsOf(parts: readonly Part[], database: string): readonly Grant[] {
  const patterns = parts.flatMap((part): Pattern[] => {
    const tables = texts(part, "tables");
    if (tables.length === 0) {
      throw refusedLoan(
        `it counts as \`${nameOf(part)}\` on more tables than it names: name each, without \`cascade\``,
      );
    }
    // What every login may read there it may read anyway; the rest is not lent.
    const own = tables.filter((table) => !isSystem(table));
    if (own.length === 0) return [];
    const columns = texts(part, "columns");
    return [
      {
        name: nameOf(part),
        facets: {
          databases: { matcher: "set", values: [database] },
          tables: { matcher: "names", values: own },
          ...(columns.length === 0 ? {} : { columns: { matcher: "set", values: columns } }),
        },
      },
    ];
  });
  const grants = toGrants(patterns);
  if (!grants.ok) throw refusedLoan(grants.detail);
  return grants.value;
}

function wayOf(part: Part): (typeof ways)[ActionName] {
  const name = nameOf(part);
  // Own keys only: a name that the table does not know is never lent.
  return Object.hasOwn(ways, name) ? ways[name as ActionName] : "never"; // it was just seen to be a key of the table
}

function nameOf(part: Part): string {
  return typeof part["name"] === "string" ? part["name"] : "";
}

function texts(part: Part, facet: string): string[] {
  const value = part[facet];
  return Array.isArray(value) ? value : [];
}

function isSystem(table: string): boolean {
  const schema = parseTableName(table)?.schema ?? "";
  return schema.startsWith("pg_") || schema === "information_schema";
}

function refusedLoan(words: string): CardeaError {
  return new CardeaError("action_refused", words);
}
