/**
 * `set_config` where it can be told to be a `set`: as a column by itself of a `select` without `from`, with the setting's name and its scope
 * as literals, which is how drivers and pools write it; and over `pg_settings` with a name that the condition fixes, as `pg_dump` does.
 * Anywhere else the call is refused (see `expression.ts`).
 */
import { maybeExpression } from "./expression.ts";
import { emptyScope } from "./scope.ts";
import { applySetting } from "./session.ts";
import {
  flagIn,
  literalText,
  namesIn,
  nodeIn,
  nodesIn,
  textIn,
  treeIn,
  unwrap,
  listIn,
  type Node,
  type Tree,
} from "./tree.ts";
import type { Work } from "./work.ts";

interface Change {
  readonly name: string;
  /** `undefined`: a parameter's. */
  readonly value: string | undefined;
  readonly isLocal: boolean;
}

/** Notes the settings that a `select` changes and answers what is left of it; `undefined`: it is not of that form. */
export function setConfig(work: Work, fields: Tree): Tree | undefined {
  const targets = listIn(fields, "targetList");
  const calls = targets.filter((target) => isSetConfig(valueOf(target)));
  if (calls.length === 0 || !Object.keys(fields).every((field) => plainFields.has(field))) return undefined;
  const from = nodesIn(fields, "fromClause");
  const where = nodeIn(fields, "whereClause");
  const fixed = from.length === 0 ? undefined : fixedName(work, from, where);
  if (from.length > 0 ? fixed === undefined || calls.length < targets.length : where !== undefined) return undefined;
  const changes = calls.map((call) => changeOf(valueOf(call), fixed));
  if (changes.includes(undefined) || !calls.every((call) => isTheServers(work, valueOf(call)))) return undefined;
  for (const change of changes) {
    if (change === undefined) continue;
    const { name, value, isLocal } = change;
    const values = name === "search_path" && value !== undefined ? pathEntries(value) : [value];
    applySetting(work, name, values, isLocal ? "transaction" : "session");
  }
  for (const call of calls) {
    for (const argument of nodesIn(valueOf(call)?.fields ?? {}, "args").slice(1))
      maybeExpression(work, argument, emptyScope);
  }
  return { targetList: targets.filter((target) => !calls.includes(target)) };
}

const plainFields = new Set(["targetList", "fromClause", "whereClause", "limitOption", "op"]);

function valueOf(target: unknown): Node | undefined {
  return nodeIn(unwrap(target)?.fields ?? {}, "val");
}

function isSetConfig(node: Node | undefined): node is Node {
  return node?.kind === "FuncCall" && namesIn(node.fields, "funcname").at(-1) === "set_config";
}

function changeOf(node: Node | undefined, fixed: string | undefined): Change | undefined {
  const fields = node?.fields ?? {};
  if (!Object.keys(fields).every((field) => callFields.has(field))) return undefined;
  const [nameNode, valueNode, localNode, ...more] = nodesIn(fields, "args");
  const name = (literalText(nameNode) ?? (isColumn(nameNode, "name") ? fixed : undefined))?.toLowerCase();
  const value = literalText(valueNode);
  const local = localNode?.kind === "A_Const" ? treeIn(localNode.fields, "boolval") : undefined;
  if (name === undefined || local === undefined || more.length > 0) return undefined;
  // A path that comes later could not be followed.
  if (value === undefined && (!isParameter(valueNode) || name === "search_path")) return undefined;
  return { name, value, isLocal: flagIn(local, "boolval") };
}

const callFields = new Set(["funcname", "args", "funcformat", "location"]);

function isParameter(node: Node | undefined): boolean {
  const inner = node?.kind === "TypeCast" ? nodeIn(node.fields, "arg") : node;
  return inner?.kind === "ParamRef";
}

/** Whether nobody else's function of that name can be meant. */
function isTheServers(work: Work, node: Node | undefined): boolean {
  const names = namesIn(node?.fields ?? {}, "funcname");
  const facts = work.functionsNamed(names);
  return facts?.every((fact) => fact.system) ?? false;
}

/** `from pg_settings where name = 'x'`. */
function fixedName(work: Work, from: readonly Node[], where: Node | undefined): string | undefined {
  const [item] = from;
  if (from.length !== 1 || item?.kind !== "RangeVar" || treeIn(item.fields, "alias") !== undefined) return undefined;
  if (textIn(item.fields, "relname") !== "pg_settings" || work.relation(item.fields)?.system !== true) return undefined;
  if (where?.kind !== "A_Expr" || textIn(where.fields, "kind") !== "AEXPR_OP") return undefined;
  const names = namesIn(where.fields, "name");
  if (names.length !== 1 || names[0] !== "=" || !isColumn(nodeIn(where.fields, "lexpr"), "name")) return undefined;
  work.operator(["="]);
  return literalText(nodeIn(where.fields, "rexpr"));
}

function isColumn(node: Node | undefined, name: string): boolean {
  const names = node?.kind === "ColumnRef" ? namesIn(node.fields, "fields") : [];
  return names.length === 1 && names[0] === name;
}

/** The names in a `search_path` that is one string; empty for none. */
function pathEntries(text: string): readonly string[] {
  return text.trim() === "" ? [] : text.split(",").map((part) => part.trim());
}
