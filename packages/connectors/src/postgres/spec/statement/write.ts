/** `insert`, `update`, `delete`, `merge`: what they write, and what they read in order to. */
import { conditionText, restricts } from "./condition.ts";
import { expression, expressions, maybeExpression } from "./expression.ts";
import { aliasOf, fromItem, fromItems } from "./from.ts";
import { targets, withClause } from "./query.ts";
import { tableSource, within, type Column, type Scope, type Source } from "./scope.ts";
import { listIn, nodeIn, nodesIn, textIn, treeIn, type Node, type Tree } from "./tree.ts";
import { noColumns, read, type Columns, type Use } from "./uses.ts";
import type { Work } from "./work.ts";

interface Target {
  readonly use: Use;
  readonly source: Source;
}

/** The table that is written. It is always a table: common table expressions do not hide it. */
function target(work: Work, fields: Tree): Target | undefined {
  const rangeVar = treeIn(fields, "relation");
  const relation = rangeVar && work.relation(rangeVar);
  if (rangeVar === undefined || relation === undefined) return undefined;
  const use = work.use(relation, false);
  return { use, source: tableSource(use, aliasOf(rangeVar).alias) };
}

export function insert(work: Work, fields: Tree, outer: Scope): readonly Column[] | undefined {
  const base = withClause(work, treeIn(fields, "withClause"), within(outer));
  const query = nodeIn(fields, "selectStmt");
  const into = target(work, fields);
  if (query !== undefined) work.walk.query(work, query, base);
  if (into === undefined) return undefined;
  const { use, source } = into;
  use.insert = noColumns();
  const columns = nodesIn(fields, "cols");
  assigned(work, columns, use.insert, base);
  // Without a list it writes the first columns, as many as there are values.
  if (columns.length === 0 && query !== undefined) use.insert.whole = true;
  const conflict = treeIn(fields, "onConflictClause");
  if (conflict !== undefined) onConflict(work, conflict, into, base);
  return returning(work, fields, { ...base, sources: [source] }, source);
}

function onConflict(work: Work, fields: Tree, { use, source }: Target, base: Scope): void {
  const own: Scope = { ...base, sources: [source] };
  const infer = treeIn(fields, "infer");
  if (infer !== undefined) {
    use.readsOwn = true;
    // The constraint's columns are read; which these are is not in the text.
    if (textIn(infer, "conname") !== undefined) read(use, undefined);
    for (const { fields: element } of nodesIn(infer, "indexElems")) {
      const column = textIn(element, "name");
      if (column !== undefined) read(use, column);
      maybeExpression(work, nodeIn(element, "expr"), own);
    }
    maybeExpression(work, nodeIn(infer, "whereClause"), own);
    use.readsOwn = false;
  }
  if (textIn(fields, "action") !== "ONCONFLICT_UPDATE") return;
  use.update ??= noColumns();
  // Rows that the insert itself points at.
  use.where = true;
  use.readsOwn = true;
  // The row that was to be inserted is read with the privilege to read the table's columns.
  const excluded: Source = { ...tableSource(use, "excluded"), open: false };
  const scope: Scope = { ...base, sources: [source, excluded] };
  assigned(work, nodesIn(fields, "targetList"), use.update, scope);
  maybeExpression(work, nodeIn(fields, "whereClause"), scope);
  use.readsOwn = false;
}

export function update(work: Work, fields: Tree, outer: Scope): readonly Column[] | undefined {
  const base = withClause(work, treeIn(fields, "withClause"), within(outer));
  const written = target(work, fields);
  const first = work.uses.length;
  const sources = written === undefined ? [] : [written.source];
  const scope: Scope = { ...base, sources: [...sources, ...fromItems(work, nodesIn(fields, "fromClause"), base)] };
  const columns = written === undefined ? noColumns() : (written.use.update = noColumns());
  const others = work.uses.slice(first);
  if (written !== undefined) written.use.readsOwn = true;
  assigned(work, nodesIn(fields, "targetList"), columns, scope);
  condition(work, nodeIn(fields, "whereClause"), scope, written?.use, others);
  if (written !== undefined) written.use.readsOwn = false;
  return returning(work, fields, scope, written?.source);
}

export function remove(work: Work, fields: Tree, outer: Scope): readonly Column[] | undefined {
  const base = withClause(work, treeIn(fields, "withClause"), within(outer));
  const written = target(work, fields);
  const first = work.uses.length;
  const sources = written === undefined ? [] : [written.source];
  const scope: Scope = { ...base, sources: [...sources, ...fromItems(work, nodesIn(fields, "usingClause"), base)] };
  const others = work.uses.slice(first);
  if (written !== undefined) written.use.readsOwn = written.use.delete = true;
  condition(work, nodeIn(fields, "whereClause"), scope, written?.use, others);
  if (written !== undefined) written.use.readsOwn = false;
  return returning(work, fields, scope, written?.source);
}

export function merge(work: Work, fields: Tree, outer: Scope): readonly Column[] | undefined {
  const base = withClause(work, treeIn(fields, "withClause"), within(outer));
  const written = target(work, fields);
  const first = work.uses.length;
  const source = nodeIn(fields, "sourceRelation");
  const from = source === undefined ? [] : fromItem(work, source, base, []);
  const scope: Scope = { ...base, sources: written === undefined ? from : [written.source, ...from] };
  condition(work, nodeIn(fields, "joinCondition"), scope, written?.use, work.uses.slice(first));
  for (const { fields: clause } of nodesIn(fields, "mergeWhenClauses")) {
    const visible: Scope = { ...base, sources: visibleTo(textIn(clause, "matchKind"), written?.source, from) };
    maybeExpression(work, nodeIn(clause, "condition"), visible);
    expressions(work, nodesIn(clause, "values"), visible);
    if (written !== undefined) mergeAction(work, clause, written.use, visible);
  }
  return returning(work, fields, scope, undefined);
}

/** Where there is no row of one side, its columns cannot be named. */
function visibleTo(match: string | undefined, own: Source | undefined, from: readonly Source[]): readonly Source[] {
  const target = own === undefined ? [] : [own];
  if (match === "MERGE_WHEN_NOT_MATCHED_BY_TARGET") return from;
  return match === "MERGE_WHEN_NOT_MATCHED_BY_SOURCE" ? target : [...target, ...from];
}

function mergeAction(work: Work, fields: Tree, use: Use, scope: Scope): void {
  const list = nodesIn(fields, "targetList");
  switch (textIn(fields, "commandType")) {
    case "CMD_INSERT":
      use.insert ??= noColumns();
      if (list.length === 0 && listIn(fields, "values").length > 0) use.insert.whole = true;
      assigned(work, list, use.insert, scope);
      return;
    case "CMD_UPDATE":
      use.update ??= noColumns();
      assigned(work, list, use.update, scope);
      break;
    case "CMD_DELETE":
      use.delete = true;
      break;
    case "CMD_NOTHING":
      // For some column, whichever; the other actions do not ask for that.
      use.select = true;
      return;
    default:
      work.refuse("unknown_form", "an action of `merge` that is not known here");
  }
  // Rows without a match are not those that the condition selects.
  if (textIn(fields, "matchKind") === "MERGE_WHEN_NOT_MATCHED_BY_SOURCE") {
    use.where &&= restricts(nodeIn(fields, "condition"));
    use.condition = undefined;
  }
}

/** `set` lists and lists of columns: which columns are written, and what the values read. */
function assigned(work: Work, nodes: readonly Node[], into: Columns, scope: Scope): void {
  for (const { fields } of nodes) {
    const name = textIn(fields, "name");
    if (name !== undefined) into.names.add(name);
    expressions(work, nodesIn(fields, "indirection"), scope);
    maybeExpression(work, nodeIn(fields, "val"), scope);
  }
}

function condition(
  work: Work,
  where: Node | undefined,
  scope: Scope,
  use: Use | undefined,
  others: readonly Use[],
): void {
  if (where === undefined) return;
  expression(work, where, scope);
  if (!restricts(where)) return;
  for (const other of others) other.where = true;
  if (use === undefined) return;
  use.where = true;
  use.condition = conditionText(where);
}

/** `returning`, which may name the old and the new row. */
function returning(work: Work, fields: Tree, scope: Scope, source: Source | undefined): readonly Column[] | undefined {
  const clause = treeIn(fields, "returningClause");
  if (clause === undefined) return [];
  const rows = source ?? scope.sources.find((candidate) => candidate.use !== undefined);
  const names = nodesIn(clause, "options").map((option) => textIn(option.fields, "value"));
  const versions = rows === undefined ? [] : [...names, "old", "new"].map((name) => ({ ...rows, name, open: false }));
  return targets(work, nodesIn(clause, "exprs"), { ...scope, sources: [...scope.sources, ...versions] });
}
