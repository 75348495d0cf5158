/** Items of `FROM`: what they make visible to names, and what mentioning them does. */
import { expression, expressions, maybeExpression, newerForm } from "./expression.ts";
import { commonTable, freeSource, readAll, tableSource, within, type Scope, type Source } from "./scope.ts";
import { flagIn, listIn, namesIn, nodeIn, nodesIn, textIn, treeIn, unwrap, type Node, type Tree } from "./tree.ts";
import type { Use } from "./uses.ts";
import type { Work } from "./work.ts";

/** The items of a `FROM` list, from left to right: later ones may refer to earlier ones where they are lateral. */
export function fromItems(work: Work, nodes: readonly Node[], scope: Scope): readonly Source[] {
  const sources: Source[] = [];
  for (const node of nodes) sources.push(...fromItem(work, node, scope, sources));
  return sources;
}

/** What one item adds. `left`: what a lateral item can refer to. */
export function fromItem(work: Work, node: Node, scope: Scope, left: readonly Source[]): readonly Source[] {
  const { kind, fields } = node;
  const lateral = within(scope, left);
  switch (kind) {
    case "RangeVar":
      return [rangeVar(work, fields, scope)];
    case "RangeSubselect": {
      const query = nodeIn(fields, "subquery");
      const first = work.uses.length;
      const columns = query && work.walk.query(work, query, flagIn(fields, "lateral") ? lateral : within(scope));
      return [
        derived(
          fields,
          columns?.map((column) => column.name),
          work.uses.slice(first),
        ),
      ];
    }
    case "RangeFunction":
      rangeFunction(work, fields, lateral);
      return [derived(fields, undefined)];
    case "RangeTableFunc":
      for (const field of ["docexpr", "rowexpr"]) maybeExpression(work, nodeIn(fields, field), lateral);
      expressions(work, [...nodesIn(fields, "namespaces"), ...nodesIn(fields, "columns")], lateral);
      return [
        derived(
          fields,
          nodesIn(fields, "columns").map((column) => textIn(column.fields, "colname") ?? ""),
        ),
      ];
    case "JsonTable":
      if (newerForm(work, kind)) return [];
      for (const field of ["context_item", "pathspec", "on_error"]) {
        const part = treeIn(fields, field);
        if (part !== undefined) expression(work, { kind: partKinds[field] ?? field, fields: part }, lateral);
      }
      expressions(work, [...nodesIn(fields, "passing"), ...nodesIn(fields, "columns")], lateral);
      return [derived(fields, undefined)];
    case "RangeTableSample": {
      // A method is a function that takes `internal`; those of the server only sample.
      const method = namesIn(fields, "method");
      if (!samplers.has(method.join("."))) work.call(method, 1);
      expressions(work, nodesIn(fields, "args"), lateral);
      maybeExpression(work, nodeIn(fields, "repeatable"), lateral);
      const relation = nodeIn(fields, "relation");
      return relation === undefined ? [] : fromItem(work, relation, scope, left);
    }
    case "JoinExpr":
      return join(work, fields, scope, left);
    default:
      work.refuse("unknown_form", `\`${kind}\` in \`from\` is not known here`);
      return [];
  }
}

const samplers = new Set(["bernoulli", "system", "pg_catalog.bernoulli", "pg_catalog.system"]);

const partKinds: Readonly<Record<string, string>> = {
  context_item: "JsonValueExpr",
  pathspec: "JsonTablePathSpec",
  on_error: "JsonBehavior",
};

function rangeVar(work: Work, fields: Tree, scope: Scope): Source {
  const name = textIn(fields, "relname") ?? "";
  const { alias, columns } = aliasOf(fields);
  const common = textIn(fields, "schemaname") === undefined ? commonTable(scope, name) : undefined;
  if (common !== undefined) return freeSource(alias ?? name, common.columns, columns);
  const relation = work.relation(fields);
  if (relation === undefined) return freeSource(alias ?? name, undefined, columns);
  return tableSource(work.use(relation, true), alias, columns);
}

function rangeFunction(work: Work, fields: Tree, scope: Scope): void {
  for (const entry of listIn(fields, "functions")) {
    // A list of the function and, within `rows from`, its columns' definitions.
    const list = unwrap(entry);
    if (list !== undefined) expression(work, list, scope);
  }
  expressions(work, nodesIn(fields, "coldeflist"), scope);
}

/** Something without columns of tables: a query's, a function's or a list of values. */
function derived(fields: Tree, columns: readonly string[] | undefined, uses: readonly Use[] = []): Source {
  const { alias, columns: names } = aliasOf(fields);
  return freeSource(alias, columns, names, uses);
}

export function aliasOf(fields: Tree): { readonly alias: string | undefined; readonly columns: readonly string[] } {
  const alias = treeIn(fields, "alias");
  return alias === undefined
    ? { alias: undefined, columns: [] }
    : { alias: textIn(alias, "aliasname"), columns: namesIn(alias, "colnames") };
}

function join(work: Work, fields: Tree, scope: Scope, left: readonly Source[]): readonly Source[] {
  const [leftNode, rightNode] = [nodeIn(fields, "larg"), nodeIn(fields, "rarg")];
  const leftSources = leftNode === undefined ? [] : fromItem(work, leftNode, scope, left);
  const rightSources = rightNode === undefined ? [] : fromItem(work, rightNode, scope, [...left, ...leftSources]);
  const inside = [...leftSources, ...rightSources];
  const open = inside.filter((source) => source.open);
  const compared = flagIn(fields, "isNatural")
    ? naturalColumns(leftSources, rightSources)
    : namesIn(fields, "usingClause");
  if (compared.length > 0 || flagIn(fields, "isNatural")) work.operator(["="]);
  // Comparing reads them on both sides.
  const merged = compared.map((name) => {
    const reads = open.flatMap((source) => source.columns.find((column) => column.name === name)?.reads ?? []);
    readAll(reads);
    return { name, reads };
  });
  maybeExpression(work, nodeIn(fields, "quals"), within(scope, inside));
  const uses = inside.flatMap((source) => source.uses);
  const partial = open.some((source) => source.partial);
  const using = treeIn(fields, "join_using_alias");
  const usingSource: Source[] =
    using === undefined
      ? []
      : [
          {
            ...freeSource(textIn(using, "aliasname"), []),
            columns: merged,
            all: merged.flatMap(({ reads }) => reads),
            open: false,
          },
        ];
  const { alias, columns: names } = aliasOf(fields);
  // Without an alias its items' own names stay usable; columns are found in it or in them alike.
  if (alias === undefined) return [...inside, ...usingSource];
  const others = open.flatMap((source) => source.columns).filter((column) => !compared.includes(column.name));
  const columns = [...merged, ...others].map((column, index) => ({ ...column, name: names[index] ?? column.name }));
  return [
    { name: alias, columns, partial, all: open.flatMap((source) => source.all), uses, open: true },
    ...usingSource,
  ];
}

/** The columns that both sides have. Where a side's are not known, what it shares cannot be told: then all of them are read. */
function naturalColumns(left: readonly Source[], right: readonly Source[]): readonly string[] {
  const open = [...left, ...right].filter((source) => source.open);
  if (open.some((source) => source.partial)) for (const source of open) readAll(source.all);
  const names = (sources: readonly Source[]): readonly string[] =>
    sources.flatMap((source) => (source.open ? source.columns.map(({ name }) => name) : []));
  const shared = new Set(names(right));
  return [...new Set(names(left).filter((name) => shared.has(name)))];
}
