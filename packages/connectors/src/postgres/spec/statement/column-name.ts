/** The name that the server gives to a column of a query without an alias. */
import { namesIn, nodeIn, nodesIn, stringOf, textIn, treeIn, type Node, type Tree } from "./tree.ts";

interface Named {
  readonly name: string;
  /** A name from the expression beats that of a type or of `case`. */
  readonly strong: boolean;
}

const unnamed: Named = { name: "?column?", strong: false };

export function columnName(node: Node | undefined): string {
  return nameOf(node).name;
}

function nameOf(node: Node | undefined): Named {
  if (node === undefined) return unnamed;
  const { kind, fields } = node;
  switch (kind) {
    case "ColumnRef":
      return strong(lastName(fields, "fields"));
    case "A_Indirection": {
      const field = lastName(fields, "indirection");
      return field === undefined ? nameOf(nodeIn(fields, "arg")) : strong(field);
    }
    case "FuncCall":
      return strong(namesIn(fields, "funcname").at(-1));
    case "A_Expr":
      return textIn(fields, "kind") === "AEXPR_NULLIF" ? strong("nullif") : unnamed;
    case "TypeCast": {
      const inner = nameOf(nodeIn(fields, "arg"));
      const type = namesIn(treeIn(fields, "typeName") ?? {}, "names").at(-1);
      return inner.strong || type === undefined ? inner : { name: type, strong: false };
    }
    case "CollateClause":
      return nameOf(nodeIn(fields, "arg"));
    case "CaseExpr": {
      const inner = nameOf(nodeIn(fields, "defresult"));
      return inner.strong ? inner : { name: "case", strong: false };
    }
    case "SubLink":
      return subLinkName(fields);
    case "MinMaxExpr":
      return strong(textIn(fields, "op") === "IS_LEAST" ? "least" : "greatest");
    default:
      return strong(namedForms.get(kind));
  }
}

const namedForms: ReadonlyMap<string, string> = new Map([
  ["A_ArrayExpr", "array"],
  ["RowExpr", "row"],
  ["CoalesceExpr", "coalesce"],
  ["GroupingFunc", "grouping"],
  ["MergeSupportFunc", "merge_action"],
  ["XmlSerialize", "xmlserialize"],
]);

function subLinkName(fields: Tree): Named {
  switch (textIn(fields, "subLinkType")) {
    case "EXISTS_SUBLINK":
      return strong("exists");
    case "ARRAY_SUBLINK":
      return strong("array");
    case "EXPR_SUBLINK": {
      const [target] = nodesIn(nodeIn(fields, "subselect")?.fields ?? {}, "targetList");
      return target === undefined
        ? unnamed
        : strong(textIn(target.fields, "name") ?? columnName(nodeIn(target.fields, "val")));
    }
    default:
      return unnamed;
  }
}

function strong(name: string | undefined): Named {
  return name === undefined ? unnamed : { name, strong: true };
}

function lastName(fields: Tree, field: string): string | undefined {
  return nodesIn(fields, field)
    .map(stringOf)
    .findLast((name) => name !== undefined);
}
