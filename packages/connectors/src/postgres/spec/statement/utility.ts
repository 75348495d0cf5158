/** Statements that work on tables without being queries: `copy`, `lock`, `truncate`, `call`, `explain` and the like. */
import type { ActionName } from "../actions.ts";
import { expressions, maybeExpression } from "./expression.ts";
import { emptyScope, tableSource } from "./scope.ts";
import type { Touch } from "./statement.ts";
import { flagIn, namesIn, nodeIn, nodesIn, numberIn, textIn, treeIn, type Tree } from "./tree.ts";
import { noColumns, read } from "./uses.ts";
import type { Work } from "./work.ts";

/** Options of `copy` that only say how the data is written. */
const copyOptions = new Set(
  `default delimiter encoding escape force_array force_not_null force_null force_quote format freeze header log_verbosity null on_error quote
  reject_limit`.split(/\s+/),
);

export function copy(work: Work, fields: Tree): void {
  const isFrom = flagIn(fields, "is_from");
  if (flagIn(fields, "is_program") || textIn(fields, "filename") !== undefined) {
    work.refuse("never_judged", "files and programs of the server are out of reach", "copy from stdin or to stdout");
    return;
  }
  for (const { fields: option } of nodesIn(fields, "options")) {
    const name = textIn(option, "defname") ?? "";
    if (!copyOptions.has(name)) work.refuse("unknown_form", `the option \`${name}\` of \`copy\` is not known here`);
  }
  work.effects.push({ is: "copy", direction: isFrom ? "in" : "out" });
  const query = nodeIn(fields, "query");
  if (query !== undefined) {
    work.walk.query(work, query, emptyScope);
    return;
  }
  const rangeVar = treeIn(fields, "relation");
  const relation = rangeVar && work.relation(rangeVar);
  if (relation === undefined) return;
  const use = work.use(relation, !isFrom);
  const columns = namesIn(fields, "attlist");
  if (isFrom) {
    use.insert = noColumns();
    if (columns.length === 0) use.insert.whole = true;
    for (const column of columns) use.insert.names.add(column);
    maybeExpression(work, nodeIn(fields, "whereClause"), { ...emptyScope, sources: [tableSource(use, undefined)] });
  } else if (columns.length === 0) read(use, undefined);
  else for (const column of columns) read(use, column);
}

/** `access share`, which only waits for what would change the table's definition. */
const accessShare = 1;

export function lockTables(work: Work, fields: Tree): void {
  const action = numberIn(fields, "mode") <= accessShare ? "select" : "update";
  for (const { fields: rangeVar } of nodesIn(fields, "relations")) {
    const relation = work.relation(rangeVar);
    if (relation === undefined || relation.temporary) continue;
    if (action === "select") read(work.use(relation, true), undefined);
    else wholeTable(work, "update", relation);
  }
}

/** Answers the actions that reach beyond the tables named. */
export function truncate(work: Work, fields: Tree): readonly ActionName[] {
  for (const { fields: rangeVar } of nodesIn(fields, "relations")) {
    const relation = work.relation(rangeVar);
    if (relation === undefined || relation.temporary) continue;
    wholeTable(work, "truncate", relation);
    // Sequences are restarted by their owner alone.
    if (flagIn(fields, "restart_seqs")) wholeTable(work, "alter", relation);
  }
  // It empties every table that refers to one of these.
  return textIn(fields, "behavior") === "DROP_CASCADE" ? ["sql.truncate"] : [];
}

function wholeTable(
  work: Work,
  action: Touch["action"],
  { schema, name }: { readonly schema: string; readonly name: string },
): void {
  work.touches.push({ action, schema, name, columns: "all", where: false });
}

export function call(work: Work, fields: Tree): void {
  const target = treeIn(fields, "funccall");
  if (target === undefined) return;
  expressions(work, nodesIn(target, "args"), emptyScope);
  work.call(namesIn(target, "funcname"), nodesIn(target, "args").length);
}

/** `notify channel` is `pg_notify(channel)`. */
export function notify(work: Work, fields: Tree): void {
  work.effects.push({ is: "notify", channel: textIn(fields, "conditionname") });
  work.call(["pg_catalog", "pg_notify"], 2);
}
