/** Conditions: whether one restricts anything, and its text where it is simple enough to be shown whole. */
import { childrenOf } from "./shapes.ts";
import { flagIn, namesIn, nodeIn, nodesIn, numberIn, stringOf, textIn, treeIn, type Node, type Tree } from "./tree.ts";

/**
 * Whether a `where` can leave rows out. Conditions without a column (`true`, `1 = 1`), of a thing with itself, and such an alternative beside
 * another do not count. It is a guard against slips, not a proof: `id is not null` counts.
 */
export function restricts(node: Node | undefined): boolean {
  if (node === undefined) return false;
  const { kind, fields } = node;
  if (kind === "CurrentOfExpr") return true;
  if (kind === "BoolExpr") {
    const parts = nodesIn(fields, "args");
    switch (textIn(fields, "boolop")) {
      case "OR_EXPR":
        return parts.every(restricts);
      case "AND_EXPR":
        return parts.some(restricts);
      default:
        return parts.some(mentionsColumn);
    }
  }
  if (kind === "A_Expr") {
    const [left, right] = [nodeIn(fields, "lexpr"), nodeIn(fields, "rexpr")];
    if (left !== undefined && right !== undefined && same(left, right)) return false;
  }
  return mentionsColumn(node);
}

function mentionsColumn(node: Node): boolean {
  return node.kind === "ColumnRef" || childrenOf(node.kind, node.fields).some(mentionsColumn);
}

/** `id = id`, `o.id = o.id`, `o.id = id`; not `o.id = c.id`. */
function same(a: Node, b: Node): boolean {
  if (a.kind !== "ColumnRef" || b.kind !== "ColumnRef") return false;
  const [left, right] = [namesIn(a.fields, "fields"), namesIn(b.fields, "fields")];
  const parts = Math.min(left.length, right.length);
  return parts > 0 && left.slice(-parts).join("\0") === right.slice(-parts).join("\0");
}

/** Longer conditions are not shown in full. */
const maxLength = 200;

/** Its text in one line, `undefined` where it is too long or holds something else than names, literals and operators. */
export function conditionText(node: Node): string | undefined {
  const text = textOf(node);
  return text !== undefined && text.length <= maxLength ? text : undefined;
}

function textOf(node: Node | undefined): string | undefined {
  if (node === undefined) return undefined;
  const { kind, fields } = node;
  switch (kind) {
    case "ColumnRef": {
      const names = nodesIn(fields, "fields").map(stringOf);
      return names.includes(undefined) ? undefined : names.map((name) => identifier(name ?? "")).join(".");
    }
    case "ParamRef":
      return `$${numberIn(fields, "number")}`;
    case "A_Const":
      return constant(fields);
    case "NullTest": {
      const arg = textOf(nodeIn(fields, "arg"));
      return arg === undefined
        ? undefined
        : `${arg} is ${textIn(fields, "nulltesttype") === "IS_NOT_NULL" ? "not " : ""}null`;
    }
    case "BoolExpr":
      return boolean(fields);
    case "A_Expr":
      return operation(fields);
    default:
      return undefined;
  }
}

function boolean(fields: Tree): string | undefined {
  const parts = nodesIn(fields, "args").map((part) => {
    const text = textOf(part);
    return text !== undefined && part.kind === "BoolExpr" ? `(${text})` : text;
  });
  if (parts.includes(undefined)) return undefined;
  switch (textIn(fields, "boolop")) {
    case "AND_EXPR":
      return parts.join(" and ");
    case "OR_EXPR":
      return parts.join(" or ");
    default:
      return `not (${parts.join("")})`;
  }
}

function operation(fields: Tree): string | undefined {
  const [left, right] = [textOf(nodeIn(fields, "lexpr")), nodeIn(fields, "rexpr")];
  const names = namesIn(fields, "name");
  const [operator] = names;
  if (left === undefined || operator === undefined || names.length > 1) return undefined;
  switch (textIn(fields, "kind")) {
    case "AEXPR_OP": {
      const text = textOf(right);
      return text === undefined ? undefined : `${left} ${operator} ${text}`;
    }
    case "AEXPR_IN": {
      const items = right?.kind === "List" ? nodesIn(right.fields, "items").map(textOf) : [undefined];
      return items.includes(undefined)
        ? undefined
        : `${left} ${operator === "<>" ? "not in" : "in"} (${items.join(", ")})`;
    }
    default:
      return undefined;
  }
}

function constant(fields: Tree): string | undefined {
  if (flagIn(fields, "isnull")) return "null";
  const text = treeIn(fields, "sval");
  if (text !== undefined) return `'${(textIn(text, "sval") ?? "").replaceAll("'", "''")}'`;
  const integer = treeIn(fields, "ival");
  if (integer !== undefined) return String(numberIn(integer, "ival"));
  const number = treeIn(fields, "fval");
  if (number !== undefined) return textIn(number, "fval");
  const truth = treeIn(fields, "boolval");
  return truth === undefined ? undefined : String(flagIn(truth, "boolval"));
}

function identifier(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

/** The text of a number or truth value. */
export function constantText(node: Node): string | undefined {
  return node.kind === "A_Const" ? constant(node.fields) : undefined;
}
