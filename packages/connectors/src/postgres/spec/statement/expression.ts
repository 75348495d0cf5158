/** Expressions: which columns they read, and which functions, operators and types they name. Every kind that `shapes.ts` knows is walked. */
import { childrenOf } from "./shapes.ts";
import { readName, readQualified, readRow, readStar, sourceNamed, type Column, type Scope } from "./scope.ts";
import { isConfidential } from "./settings.ts";
import {
  flagIn,
  listIn,
  literalText,
  namesIn,
  nodeIn,
  nodesIn,
  numberIn,
  stringOf,
  textIn,
  type Node,
  type Tree,
} from "./tree.ts";
import type { Work } from "./work.ts";

export function expression(work: Work, node: Node, scope: Scope): void {
  const { kind, fields } = node;
  switch (kind) {
    case "ColumnRef":
      columnRef(work, fields, scope);
      return;
    case "SelectStmt":
    case "InsertStmt":
    case "UpdateStmt":
    case "DeleteStmt":
    case "MergeStmt":
      work.walk.query(work, node, scope);
      return;
    case "TypeName":
      typeName(work, fields, scope);
      return;
    case "ParamRef":
      work.parameters = Math.max(work.parameters, numberIn(fields, "number"));
      return;
    case "MultiAssignRef":
      // The same source stands in each of its places.
      if (numberIn(fields, "colno") > 1) return;
      break;
    case "FuncCall":
      functionCall(work, fields);
      break;
    case "A_Expr":
      for (const name of operatorsOf(fields)) work.operator(name);
      break;
    case "SubLink":
      subLink(work, fields, scope);
      return;
    case "SortBy":
      if (listIn(fields, "useOp").length > 0) work.operator(namesIn(fields, "useOp"));
      break;
    case "CaseExpr":
      if (nodeIn(fields, "arg") !== undefined) work.operator(["="]);
      break;
    case "A_Indirection":
      for (const name of namesAmong(nodesIn(fields, "indirection"))) work.call([name], 1);
      break;
    default:
      if (newerForm(work, kind)) return;
  }
  for (const child of childrenOf(kind, fields)) expression(work, child, scope);
}

export function expressions(work: Work, nodes: readonly Node[], scope: Scope): void {
  for (const node of nodes) expression(work, node, scope);
}

export function maybeExpression(work: Work, node: Node | undefined, scope: Scope): void {
  if (node !== undefined) expression(work, node, scope);
}

/** Forms that older servers read as calls of functions, which may exist there. */
const newerForms: ReadonlyMap<string, number> = new Map([
  ["JsonObjectConstructor", 16],
  ["JsonArrayConstructor", 16],
  ["JsonArrayQueryConstructor", 16],
  ["JsonObjectAgg", 16],
  ["JsonArrayAgg", 16],
  ["JsonIsPredicate", 16],
  ["JsonParseExpr", 17],
  ["JsonScalarExpr", 17],
  ["JsonSerializeExpr", 17],
  ["JsonFuncExpr", 17],
  ["JsonTable", 17],
  ["MergeSupportFunc", 17],
]);

export function newerForm(work: Work, kind: string): boolean {
  const since = newerForms.get(kind);
  if (since === undefined || work.context.serverVersion >= since) return false;
  work.refuse("unknown_form", `\`${kind}\` needs postgresql ${since}, and this server would read it as something else`);
  return true;
}

function columnRef(work: Work, fields: Tree, scope: Scope): void {
  const parts = nodesIn(fields, "fields");
  const names = parts.map(stringOf);
  const last = names.at(-1);
  if (parts.at(-1)?.kind === "A_Star") {
    starColumns(parts, scope);
    return;
  }
  const [first = "", second] = names;
  if (last === undefined) {
    work.refuse("unknown_form", "a reference to a column that is not a name");
  } else if (second === undefined) {
    readName(scope, first);
  } else {
    // `database.schema.table.column` at the longest.
    const item = names.at(-2) ?? "";
    const found = readQualified(scope, names.length > 2 ? names.at(-3) : undefined, item, last);
    if (found.is === "perhaps a call") work.call([last], 1);
    // `table.column.field` has to be written `(table.column).field`; a composite column of an item is not what it means.
  }
}

/** `*` and `item.*`: the columns they stand for, all of them read. */
export function starColumns(parts: readonly Node[], scope: Scope): readonly Column[] | undefined {
  const names = parts.slice(0, -1).map(stringOf);
  const item = names.at(-1);
  if (item === undefined) return readStar(scope);
  const source = sourceNamed(scope, item, names.at(-2));
  return source === undefined ? undefined : readRow(source);
}

function functionCall(work: Work, fields: Tree): void {
  const names = namesIn(fields, "funcname");
  const name = names.at(-1) ?? "";
  if (name === "set_config") {
    work.refuse(
      "never_judged",
      "`set_config` inside a query changes the session in a way that cannot be told beforehand",
      "use `set`, or `select set_config('name', 'value', false)` with nothing else",
    );
  }
  // A keyword since 16, a column's name before.
  if (
    name === "system_user" &&
    textIn(fields, "funcformat") === "COERCE_SQL_SYNTAX" &&
    work.context.serverVersion < 16
  ) {
    work.refuse("unknown_form", "`system_user` needs postgresql 16, and this server would read it as something else");
  }
  if (name === "current_setting" || name === "pg_show_all_settings") showsSettings(work, fields, names);
  // `agg(…) within group (order by …)` takes the sorted values as arguments as well.
  const within = flagIn(fields, "agg_within_group") ? listIn(fields, "agg_order").length : 0;
  work.call(names, listIn(fields, "args").length + within);
}

/** Of a setting that not everybody may see, or may be such a one, it is a call like that of a function that reads. */
function showsSettings(work: Work, fields: Tree, names: readonly string[]): void {
  const [setting] = nodesIn(fields, "args");
  // Without an argument it shows all of them.
  if (!isConfidential(literalText(setting)) || !work.seesSettings) return;
  for (const fact of work.functionsNamed(names) ?? []) work.reach(fact, false);
}

/** The operators that an expression of this form uses. */
function operatorsOf(fields: Tree): readonly (readonly string[])[] {
  const names = namesIn(fields, "name");
  switch (textIn(fields, "kind")) {
    case "AEXPR_BETWEEN":
    case "AEXPR_NOT_BETWEEN":
    case "AEXPR_BETWEEN_SYM":
    case "AEXPR_NOT_BETWEEN_SYM":
      return [[">="], ["<="], ["<"], [">"]];
    default:
      return [names];
  }
}

function subLink(work: Work, fields: Tree, scope: Scope): void {
  const names = namesIn(fields, "operName");
  if (names.length > 0) work.operator(names);
  else if (textIn(fields, "subLinkType") === "ANY_SUBLINK") work.operator(["="]);
  maybeExpression(work, nodeIn(fields, "testexpr"), scope);
  const first = work.uses.length;
  const writers = work.uses.filter(({ readsOwn }) => readsOwn);
  for (const writer of writers) writer.readsOwn = false;
  maybeExpression(work, nodeIn(fields, "subselect"), scope);
  for (const writer of writers) writer.readsOwn = true;
  for (const use of work.uses.slice(first)) use.inSubLink = true;
}

function typeName(work: Work, fields: Tree, scope: Scope): void {
  const names = namesIn(fields, "names");
  if (flagIn(fields, "pct_type")) return;
  // The grammar itself writes the server's own types so.
  if (names.at(-2) !== "pg_catalog") work.type(names);
  expressions(work, nodesIn(fields, "typmods"), scope);
}

function namesAmong(nodes: readonly Node[]): readonly string[] {
  return nodes.map(stringOf).filter((name) => name !== undefined);
}
