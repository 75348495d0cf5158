/**
 * What names of columns mean, by the server's rules: a name is looked for among the items of the innermost `FROM` first, then outwards.
 *
 * Where the analysis cannot know the columns of an item (a function's, say), a name may be that item's or one further out: then it counts for
 * both, which may say too much and never too little.
 */
import { isSystemColumn, read, type Use } from "./uses.ts";

/** One column of a table: using a name reads these. */
export interface ColumnRead {
  readonly use: Use;
  /** `undefined`: the row as such. */
  readonly column: string | undefined;
}

export interface Column {
  readonly name: string;
  readonly reads: readonly ColumnRead[];
}

/** One item that names can refer to. */
export interface Source {
  /** The name before a dot; `undefined`: it has none. */
  readonly name: string | undefined;
  /** Of a table without an alias, for `schema.table.column`. */
  readonly schema?: string;
  readonly columns: readonly Column[];
  /** It may have further columns, whose names nobody knows. */
  readonly partial: boolean;
  /** What `item.*`, or the item as a value, reads. */
  readonly all: readonly ColumnRead[];
  /** The table itself, whose system columns can be named too. */
  readonly use?: Use;
  /** The tables in it, which `for update` locks. */
  readonly uses: readonly Use[];
  /** Whether columns can be named without the item's name. */
  readonly open: boolean;
}

/** What a common table expression's name stands for. */
export interface CommonTable {
  readonly columns: readonly string[] | undefined;
}

export interface Scope {
  readonly sources: readonly Source[];
  readonly common: ReadonlyMap<string, CommonTable>;
  /** The query around this one. */
  readonly outer: Scope | undefined;
}

export const emptyScope: Scope = { sources: [], common: new Map(), outer: undefined };

/** A scope for what stands inside a query. */
export function within(outer: Scope, sources: readonly Source[] = []): Scope {
  return { sources, common: new Map(), outer };
}

export function withCommon(scope: Scope, common: ReadonlyMap<string, CommonTable>): Scope {
  return { ...scope, common };
}

export function commonTable(scope: Scope, name: string): CommonTable | undefined {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) {
    const found = at.common.get(name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** How a reference was understood. */
export type Resolved =
  | { readonly is: "column" }
  /** A row as a value. */
  | { readonly is: "row"; readonly of: Source }
  /** No column: the last name may be a function, called with the item's row. */
  | { readonly is: "perhaps a call"; readonly name: string }
  | { readonly is: "unknown" };

/** A name without a dot: a column, or an item's row. */
export function readName(scope: Scope, name: string): Resolved {
  let doubtful = false;
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) {
    let found = false;
    for (const source of at.sources) {
      if (!source.open) continue;
      doubtful ||= source.partial;
      const column = columnOf(source, name);
      if (column === undefined) continue;
      readAll(column.reads);
      found = true;
    }
    if (found) return { is: "column" };
  }
  const source = sourceNamed(scope, name, undefined);
  if (source !== undefined) {
    readAll(source.all);
    return { is: "row", of: source };
  }
  return doubtful ? { is: "column" } : { is: "unknown" };
}

/** `item.name` and `schema.item.name`. */
export function readQualified(scope: Scope, schema: string | undefined, item: string, name: string): Resolved {
  const source = sourceNamed(scope, item, schema);
  if (source === undefined) return { is: "unknown" };
  const column = columnOf(source, name);
  if (column !== undefined) {
    readAll(column.reads);
    return { is: "column" };
  }
  // `item.function` calls the function with the row; where the columns are unknown it may be either.
  readAll(source.all);
  return { is: "perhaps a call", name };
}

/** `*`: every item of the innermost query. */
export function readStar(scope: Scope): readonly Column[] | undefined {
  const columns: Column[] = [];
  let known = true;
  for (const source of scope.sources) {
    if (!source.open) continue;
    readAll(source.all);
    if (source.partial) known = false;
    columns.push(...source.columns);
  }
  return known ? columns : undefined;
}

/** The columns of a row, which is thereby read. */
export function readRow(source: Source): readonly Column[] | undefined {
  readAll(source.all);
  return source.partial ? undefined : source.columns;
}

export function sourceNamed(scope: Scope, name: string, schema: string | undefined): Source | undefined {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) {
    const found = at.sources.find(
      (source) => source.name === name && (schema === undefined || source.schema === schema),
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

export function readAll(reads: readonly ColumnRead[]): void {
  for (const { use, column } of reads) read(use, column);
}

/** A column of a source, system columns of a table included. */
function columnOf(source: Source, name: string): Column | undefined {
  const column = source.columns.find((candidate) => candidate.name === name);
  if (column !== undefined) return column;
  return source.use !== undefined && isSystemColumn(name)
    ? { name, reads: [{ use: source.use, column: name }] }
    : undefined;
}

/** A table under a name. */
export function tableSource(use: Use, alias: string | undefined, columnNames: readonly string[] = []): Source {
  const columns = use.relation.columns.map((column, index) => ({
    name: columnNames[index] ?? column,
    reads: [{ use, column }],
  }));
  const found = { columns, partial: false, all: [{ use, column: undefined }], use, uses: [use], open: true };
  return alias === undefined
    ? { ...found, name: use.relation.name, schema: use.relation.schema }
    : { ...found, name: alias };
}

/**
 * Something whose columns cost nothing to read: what it reads was counted where it is defined. `columns`: `undefined` where nobody knows;
 * `names`: aliases of the first ones.
 */
export function freeSource(
  name: string | undefined,
  columns: readonly string[] | undefined,
  names: readonly string[] = [],
  uses: readonly Use[] = [],
): Source {
  const known = columns === undefined ? names : renamed(columns, names);
  return {
    name,
    columns: known.map((column) => ({ name: column, reads: [] })),
    partial: columns === undefined,
    all: [],
    uses,
    open: true,
  };
}

/** Aliases name the first columns; the others keep their names. */
export function renamed(columns: readonly string[], names: readonly string[]): readonly string[] {
  return columns.map((column, index) => names[index] ?? column);
}
