/**
 * Reading the parser's tree: plain JSON in which a node is an object with one member, its kind (`{ "ColumnRef": { … } }`), a typed part
 * is the object by itself, and whatever equals its type's default is left out. Only `shapes.ts` says what may be in it.
 */

/** The fields of one node. */
export type Tree = Readonly<Record<string, unknown>>;

export interface Node {
  readonly kind: string;
  readonly fields: Tree;
}

const none: Tree = Object.freeze({});

export function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The node in a wrapper, or `undefined` where there is none (a list may hold empty places, as `GROUP BY ()` does). */
export function unwrap(value: unknown): Node | undefined {
  if (!isTree(value)) return undefined;
  for (const kind in value) {
    const fields = value[kind];
    return { kind, fields: isTree(fields) ? fields : none };
  }
  return undefined;
}

export function nodeIn(tree: Tree, field: string): Node | undefined {
  return unwrap(tree[field]);
}

export function nodesIn(tree: Tree, field: string): readonly Node[] {
  return listIn(tree, field)
    .map(unwrap)
    .filter((node) => node !== undefined);
}

/** A typed part. */
export function treeIn(tree: Tree, field: string): Tree | undefined {
  const value = tree[field];
  return isTree(value) ? value : undefined;
}

export function listIn(tree: Tree, field: string): readonly unknown[] {
  const value = tree[field];
  return Array.isArray(value) ? value : [];
}

export function textIn(tree: Tree, field: string): string | undefined {
  const value = tree[field];
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function numberIn(tree: Tree, field: string): number {
  const value = tree[field];
  return typeof value === "number" ? value : 0;
}

export function flagIn(tree: Tree, field: string): boolean {
  return tree[field] === true;
}

/** The text of a `String` node. */
export function stringOf(node: Node | undefined): string | undefined {
  return node?.kind === "String" ? (textIn(node.fields, "sval") ?? "") : undefined;
}

/** A list of `String` nodes as names; others in it (`*`, subscripts) end it. */
export function namesIn(tree: Tree, field: string): readonly string[] {
  const names: string[] = [];
  for (const node of nodesIn(tree, field)) {
    const name = stringOf(node);
    if (name === undefined) break;
    names.push(name);
  }
  return names;
}

/** The text of a string literal, `undefined` for anything else. */
export function literalText(node: Node | undefined): string | undefined {
  if (node?.kind !== "A_Const") return undefined;
  const value = treeIn(node.fields, "sval");
  return value === undefined ? undefined : (textIn(value, "sval") ?? "");
}
