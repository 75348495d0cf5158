/** Queries: `select`, `values`, `table`, set operations, common table expressions, `for update`. */
import { restricts, conditionText } from "./condition.ts";
import { columnName } from "./column-name.ts";
import { expression, expressions, maybeExpression, starColumns } from "./expression.ts";
import { fromItems } from "./from.ts";
import {
  freeSource,
  renamed,
  within,
  withCommon,
  type Column,
  type CommonTable,
  type Scope,
  type Source,
} from "./scope.ts";
import { flagIn, listIn, namesIn, nodeIn, nodesIn, stringOf, textIn, treeIn, type Node, type Tree } from "./tree.ts";
import type { Work } from "./work.ts";

/** A `select` in any form. `outer`: what names may refer to beyond it. Answers its columns; what they read is noted already. */
export function select(work: Work, fields: Tree, outer: Scope): readonly Column[] | undefined {
  const base = withClause(work, treeIn(fields, "withClause"), within(outer));
  if (treeIn(fields, "intoClause") !== undefined) {
    work.refuse("never_judged", "`into` is not possible here", "write `create table … as` by itself");
  }
  const [left, right] = [treeIn(fields, "larg"), treeIn(fields, "rarg")];
  if (left !== undefined && right !== undefined) return setOperation(work, fields, left, right, base);

  const firstUse = work.uses.length;
  const from = nodesIn(fields, "fromClause");
  const sources = fromItems(work, from, base);
  const ownUses = work.uses.slice(firstUse);
  const scope: Scope = { ...base, sources };
  const where = nodeIn(fields, "whereClause");
  if (where !== undefined) {
    expression(work, where, scope);
    if (restricts(where)) {
      const condition = conditionText(where);
      for (const use of ownUses) {
        use.where = true;
        if (sources.length === 1 && ownUses.length === 1) use.condition = condition;
      }
    }
  }
  const columns = targets(work, nodesIn(fields, "targetList"), scope);
  sortKeys(work, nodesIn(fields, "distinctClause"), scope, columns);
  expressions(work, nodesIn(fields, "groupClause"), scope);
  maybeExpression(work, nodeIn(fields, "havingClause"), scope);
  expressions(work, nodesIn(fields, "windowClause"), scope);
  sortKeys(work, nodesIn(fields, "sortClause"), scope, columns);
  tail(work, fields, scope);
  lock(nodesIn(fields, "lockingClause"), sources);
  const [values] = nodesIn(fields, "valuesLists");
  if (values === undefined) return columns;
  expressions(work, nodesIn(fields, "valuesLists"), scope);
  return listIn(values.fields, "items").map((_, index) => ({ name: `column${index + 1}`, reads: [] }));
}

function setOperation(work: Work, fields: Tree, left: Tree, right: Tree, base: Scope): readonly Column[] | undefined {
  const columns = select(work, left, base);
  select(work, right, base);
  expressions(
    work,
    nodesIn(fields, "sortClause"),
    within(base, [
      freeSource(
        undefined,
        columns?.map(({ name }) => name),
      ),
    ]),
  );
  tail(work, fields, base);
  if (listIn(fields, "lockingClause").length > 0)
    work.refuse("unknown_form", "`for update` does not work on a `union`");
  return columns;
}

function tail(work: Work, fields: Tree, scope: Scope): void {
  maybeExpression(work, nodeIn(fields, "limitCount"), scope);
  maybeExpression(work, nodeIn(fields, "limitOffset"), scope);
}

/** In `order by` and `distinct on`, a single name is first a column of the result, which was read already. */
function sortKeys(work: Work, nodes: readonly Node[], scope: Scope, columns: readonly Column[] | undefined): void {
  for (const node of nodes) {
    const key = node.kind === "SortBy" ? nodeIn(node.fields, "node") : node;
    const parts = key?.kind === "ColumnRef" ? nodesIn(key.fields, "fields") : [];
    const name = parts.length === 1 ? stringOf(parts[0]) : undefined;
    const ofResult =
      columns?.some((column) => column.name === name) === true && listIn(node.fields, "useOp").length === 0;
    if (!ofResult) expression(work, node, scope);
  }
}

/** A target list: its columns, `undefined` where a star hides them. */
export function targets(work: Work, nodes: readonly Node[], scope: Scope): readonly Column[] | undefined {
  const columns: Column[] = [];
  let known = true;
  for (const { fields } of nodes) {
    const value = nodeIn(fields, "val");
    if (value?.kind === "ColumnRef" && isStar(value.fields)) {
      const starred = starColumns(nodesIn(value.fields, "fields"), scope);
      if (starred === undefined) known = false;
      else columns.push(...starred.map(({ name }) => ({ name, reads: [] })));
      continue;
    }
    maybeExpression(work, value, scope);
    if (value?.kind === "A_Indirection" && nodesIn(value.fields, "indirection").at(-1)?.kind === "A_Star")
      known = false;
    else columns.push({ name: textIn(fields, "name") ?? columnName(value), reads: [] });
  }
  return known ? columns : undefined;
}

function isStar(fields: Tree): boolean {
  return nodesIn(fields, "fields").at(-1)?.kind === "A_Star";
}

/** `for update`, `for share` and so on: the privilege to update, on each table locked; on those inside subqueries in `from` too. */
function lock(clauses: readonly Node[], sources: readonly Source[]): void {
  for (const { fields } of clauses) {
    const named = nodesIn(fields, "lockedRels").map((node) => textIn(node.fields, "relname"));
    const meant = named.length === 0 ? sources : sources.filter((source) => named.includes(source.name));
    for (const use of meant.flatMap((source) => source.uses)) if (!use.inSubLink) use.rowLock = true;
  }
}

/** Adds the common table expressions of a `with`, each analysed where it stands, writes included. */
export function withClause(work: Work, clause: Tree | undefined, scope: Scope): Scope {
  if (clause === undefined) return scope;
  const recursive = flagIn(clause, "recursive");
  const common = new Map<string, CommonTable>();
  const entries = nodesIn(clause, "ctes").map(({ fields }) => ({ fields, name: textIn(fields, "ctename") ?? "" }));
  // Within `with recursive` each may refer to itself and to later ones.
  if (recursive) for (const { name, fields } of entries) common.set(name, { columns: declaredColumns(fields) });
  for (const { fields, name } of entries) {
    const query = nodeIn(fields, "ctequery");
    if (query === undefined) continue;
    const columns = work.walk.query(work, query, withCommon(scope, new Map(common)));
    const extra = extraColumns(work, fields, scope);
    const aliases = namesIn(fields, "aliascolnames");
    const names =
      columns &&
      renamed(
        columns.map((column) => column.name),
        aliases,
      );
    common.set(name, { columns: names && [...names, ...extra] });
  }
  return withCommon(scope, common);
}

/** What a recursive reference can be sure of. */
function declaredColumns(fields: Tree): readonly string[] | undefined {
  const names = namesIn(fields, "aliascolnames");
  return names.length === 0 ? undefined : names;
}

/** Columns that `search` and `cycle` add. */
function extraColumns(work: Work, fields: Tree, scope: Scope): readonly string[] {
  const [search, cycle] = [treeIn(fields, "search_clause"), treeIn(fields, "cycle_clause")];
  if (cycle !== undefined) {
    maybeExpression(work, nodeIn(cycle, "cycle_mark_value"), scope);
    maybeExpression(work, nodeIn(cycle, "cycle_mark_default"), scope);
  }
  return [
    search && textIn(search, "search_seq_column"),
    cycle && textIn(cycle, "cycle_mark_column"),
    cycle && textIn(cycle, "cycle_path_column"),
  ].filter((name) => name !== undefined);
}
