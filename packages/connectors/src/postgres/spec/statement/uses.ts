/**
 * What a statement does to relations, one entry for each time it names one (PostgreSQL's range table entry), and from these the atoms.
 *
 * PostgreSQL checks privileges in the same way: for each entry the columns that are read, inserted and updated; a table as a whole where
 * a row as such or a system column is meant; and any one column where none is named (`count(*)`). An atom cannot say "any one", so that it says
 * the whole table, and the statement says beside it which columns would do.
 */
import type { Facet, Pattern } from "@cardea/core/documents/pattern";
import { formatTableName } from "../table-name.ts";
import type { ActionName } from "../actions.ts";
import type { RelationFact } from "./facts.ts";
import type { Touch } from "./statement.ts";

export interface Columns {
  readonly names: Set<string>;
  /** The table as such. */
  whole: boolean;
}

export interface Use {
  readonly relation: RelationFact;
  /** Wanted, even where no column is named. */
  select: boolean;
  readonly selected: Columns;
  /** Read by nothing but the write itself, to find its rows and to make its values. */
  readonly ownRead: Set<string>;
  /** What is read just now is. */
  readsOwn: boolean;
  insert: Columns | undefined;
  update: Columns | undefined;
  delete: boolean;
  /** `for update` and its family. */
  rowLock: boolean;
  /** Inside a subquery of an expression, which locks around it do not reach. */
  inSubLink: boolean;
  /** Only rows that a condition selects. */
  where: boolean;
  condition: string | undefined;
}

export function newUse(relation: RelationFact, select: boolean): Use {
  return {
    relation,
    select,
    selected: noColumns(),
    ownRead: new Set(),
    readsOwn: false,
    insert: undefined,
    update: undefined,
    delete: false,
    rowLock: false,
    inSubLink: false,
    where: false,
    condition: undefined,
  };
}

export function noColumns(): Columns {
  return { names: new Set(), whole: false };
}

/** System columns have no privileges of their own: they take the table's. */
const systemColumns = new Set(["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"]);

export function isSystemColumn(name: string): boolean {
  return systemColumns.has(name);
}

/** Notes that a column is read; `undefined`: the row as such. */
export function read(use: Use, column: string | undefined): void {
  use.select = true;
  if (column === undefined || isSystemColumn(column)) use.selected.whole = true;
  else (use.readsOwn ? use.ownRead : use.selected.names).add(column);
}

/** Every column that is read by its name. */
function readNames({ selected, ownRead }: Use): ReadonlySet<string> {
  return new Set([...selected.names, ...ownRead]);
}

/**
 * System relations that every login may read, and that show what is in tables or what other sessions do. Some of it only to logins that may
 * see it, which the session's own may, whatever the grant says.
 */
const telling = new Set([
  "pg_stats",
  "pg_stats_ext",
  "pg_stats_ext_exprs",
  "pg_statistic",
  "pg_statistic_ext_data",
  "pg_stat_activity",
  "pg_stat_gssapi",
  "pg_stat_replication",
  "pg_stat_ssl",
  "pg_stat_wal_receiver",
  "pg_largeobject",
  "pg_stat_progress_analyze",
  "pg_stat_progress_basebackup",
  "pg_stat_progress_cluster",
  "pg_stat_progress_copy",
  "pg_stat_progress_create_index",
  "pg_stat_progress_vacuum",
]);

/** The same of single columns: passwords of foreign servers, where sequences stand. */
const tellingColumns: ReadonlyMap<string, string> = new Map([
  ["pg_user_mappings", "umoptions"],
  ["_pg_user_mappings", "umoptions"],
  ["user_mapping_options", "option_value"],
  ["pg_sequences", "last_value"],
]);

/** Whether reading these columns is what every session may do: catalogue that PUBLIC may read. */
function isOpenCatalog(use: Use): boolean {
  const { relation, selected } = use;
  if (!relation.system || telling.has(relation.name)) return false;
  const tells = tellingColumns.get(relation.name);
  if (tells !== undefined && (selected.whole || readNames(use).has(tells))) return false;
  if (relation.publicSelect === "all") return true;
  if (selected.whole) return false;
  const open = relation.publicSelect;
  // Any one column is enough to count rows.
  const names = [...readNames(use)];
  return names.length === 0 ? open.length > 0 : names.every((name) => open.includes(name));
}

/** The parts of one use; what every session may do is left out. */
export function touchesOf(use: Use): Touch[] {
  const { relation, where, condition } = use;
  if (relation.temporary) return [];
  const touch = (action: Touch["action"], columns: Columns | undefined): Touch => ({
    action,
    schema: relation.schema,
    name: relation.name,
    columns: columns?.whole === true ? "all" : [...(columns?.names ?? [])].sort(),
    where: where || action === "insert" || action === "lock",
    ...(condition === undefined ? {} : { condition }),
  });
  const touches: Touch[] = [];
  if (use.insert !== undefined) touches.push(touch("insert", use.insert));
  if (use.update !== undefined) touches.push(touch("update", use.update));
  if (use.delete) touches.push(touch("delete", undefined));
  if (use.rowLock) touches.push(touch("lock", undefined));
  if (use.select && !isOpenCatalog(use)) {
    const own = [...use.ownRead].filter((name) => !use.selected.names.has(name)).sort();
    const all = touch("select", { names: new Set(readNames(use)), whole: use.selected.whole });
    touches.push(own.length === 0 || all.columns === "all" ? all : { ...all, own });
  }
  return touches;
}

const actionOf: Record<Touch["action"], ActionName> = {
  select: "sql.select",
  insert: "sql.insert",
  update: "sql.update",
  delete: "sql.delete",
  truncate: "sql.truncate",
  /** PostgreSQL asks for the same privilege. */
  lock: "sql.update",
  create: "sql.ddl.create",
  alter: "sql.ddl.alter",
  drop: "sql.ddl.drop",
  grant: "sql.grant",
};

/** An atom, and whether the server is content with any one column of the table. */
export interface TableAtom {
  readonly atom: Pattern;
  readonly anyColumn: boolean;
  readonly schema: string;
  readonly name: string;
  /** Where some of its columns are read by a write of the same table alone: the atom without them; `undefined`: nothing is left. */
  readonly beyondOwn: Pattern | undefined;
}

/** The atoms of touches, without doubles; columns of one table and action together. */
export function atomsOf(touches: readonly Touch[], database: string): readonly TableAtom[] {
  const atoms = new Map<string, Merged>();
  for (const touch of touches) {
    const key = `${actionOf[touch.action]} ${formatTableName({ schema: touch.schema, table: touch.name })}`;
    const known = atoms.get(key);
    if (known === undefined) {
      const columns = touch.columns === "all" ? "all" : new Set(touch.columns);
      atoms.set(key, {
        touch,
        columns,
        where: touch.where,
        beyond: new Set(beyondOwn(touch)),
        ownOnly: isOwnOnly(touch),
      });
      continue;
    }
    known.where &&= touch.where;
    known.ownOnly &&= isOwnOnly(touch);
    for (const column of beyondOwn(touch)) known.beyond.add(column);
    if (known.columns === "all" || touch.columns === "all") known.columns = "all";
    else for (const column of touch.columns) known.columns.add(column);
  }
  return [...atoms.values()].map(({ touch, columns, where, beyond, ownOnly }) => {
    const atom = tableAtom(touch, columns, where, database);
    // Beyond the own ones may be no column in particular: then one of them would do.
    const same = columns === "all" || beyond.size === 0 || beyond.size === columns.size;
    const rest = same ? atom : tableAtom(touch, beyond, where, database);
    return {
      atom,
      anyColumn: columns !== "all" && columns.size === 0 && columnActions.has(actionOf[touch.action]),
      schema: touch.schema,
      name: touch.name,
      beyondOwn: ownOnly ? undefined : rest,
    };
  });
}

interface Merged {
  readonly touch: Touch;
  columns: Set<string> | "all";
  where: boolean;
  /** Columns that something else than a write of the table reads. */
  readonly beyond: Set<string>;
  ownOnly: boolean;
}

function beyondOwn({ columns, own = [] }: Touch): readonly string[] {
  return columns === "all" ? [] : columns.filter((column) => !own.includes(column));
}

function isOwnOnly({ columns, own = [] }: Touch): boolean {
  return columns !== "all" && columns.length > 0 && columns.length === own.length;
}

/** Those that the server grants for columns as well. */
const columnActions: ReadonlySet<ActionName> = new Set(["sql.select", "sql.insert", "sql.update"]);

function tableAtom(touch: Touch, columns: Set<string> | "all", where: boolean, database: string): Pattern {
  const facets: Record<string, Facet> = {
    databases: { matcher: "set", values: [database] },
    tables: { matcher: "names", values: [formatTableName({ schema: touch.schema, table: touch.name })] },
  };
  if (columns !== "all" && columns.size > 0) facets["columns"] = { matcher: "set", values: [...columns].sort() };
  if (where) facets["requireWhere"] = { matcher: "flag", value: true };
  return { name: actionOf[touch.action], facets };
}

/** An atom without a table: it counts as every table of the database. */
export function databaseAtom(name: ActionName, database: string): Pattern {
  return { name, facets: { databases: { matcher: "set", values: [database] } } };
}

/** A function by its name. */
export function callAtom(fact: { readonly schema: string; readonly name: string }, database: string): Pattern {
  const functions = [formatTableName({ schema: fact.schema, table: fact.name })];
  return {
    name: "sql.call",
    facets: { databases: { matcher: "set", values: [database] }, functions: { matcher: "names", values: functions } },
  };
}
