/**
 * Definitions and administration: tables they are about, tables and functions they reach. Privileges decide nothing here, ownership does; so
 * these name what they touch as coarsely as is safe: what is no table, or reaches others (`cascade`), counts as the whole database.
 */
import type { ActionName } from "../actions.ts";
import { formatIdentifier } from "../table-name.ts";
import { definitionKinds, type DefinitionKind } from "./definition-kinds.ts";
import { expression } from "./expression.ts";
import { emptyScope } from "./scope.ts";
import { childrenOf } from "./shapes.ts";
import type { Touch } from "./statement.ts";
import { flagIn, namesIn, nodeIn, nodesIn, textIn, treeIn, type Node, type Tree } from "./tree.ts";
import { read } from "./uses.ts";
import { splitName, type Work } from "./work.ts";

/** What a definition is; its findings are in `work`. */
export interface Defined {
  readonly kind: DefinitionKind;
  /** Actions on the database as a whole. */
  readonly wide: readonly ActionName[];
  readonly temporary: boolean;
  readonly alone: boolean;
}

export function definition(work: Work, node: Node): Defined | undefined {
  const kind = definitionKinds.get(node.kind);
  if (kind === undefined) return undefined;
  const { fields } = node;
  const before = work.touches.length;
  const temporary = kind.makes !== undefined && made(work, partAt(fields, kind.makes), fields);
  ownRole(work, node);
  if (!temporary) about(work, node, kind);
  inside(work, node, touchOf(kind.action), kind.makes);
  if (node.kind === "CreateFunctionStmt") {
    const name = namesIn(fields, "funcname").map(formatIdentifier).join(".");
    work.notes.push(`makes the ${flagIn(fields, "is_procedure") ? "procedure" : "function"} ${name}`);
  }
  work.effects.push({ is: "definitions" });
  const touched = work.touches.slice(before).some((touch) => touch.action === touchOf(kind.action));
  const wide: ActionName[] = [];
  if (kind.action === "sql.admin" || isAboutRoles(fields)) wide.push("sql.admin");
  else if (
    !touched ||
    node.kind === "CreateSchemaStmt" ||
    textIn(fields, "behavior") === "DROP_CASCADE" ||
    hasCascade(node)
  )
    wide.push(kind.action);
  return { kind, wide, temporary, alone: kind.alone === true || isAlone(node) };
}

/** The relation in a field, `a.b` being a field of a field. */
function partAt(fields: Tree, path: string): Tree | undefined {
  return path.split(".").reduce<Tree | undefined>((tree, field) => tree && treeIn(tree, field), fields);
}

function touchOf(action: ActionName): Touch["action"] {
  switch (action) {
    case "sql.ddl.create":
      return "create";
    case "sql.ddl.drop":
      return "drop";
    case "sql.grant":
      return "grant";
    default:
      return "alter";
  }
}

/** Notes the new relation; answers whether it is a temporary one. */
function made(work: Work, rangeVar: Tree | undefined, fields: Tree): boolean {
  const name = (rangeVar && textIn(rangeVar, "relname")) ?? "";
  const schema = rangeVar && textIn(rangeVar, "schemaname");
  const temporary = (rangeVar && textIn(rangeVar, "relpersistence")) === "t" || schema?.startsWith("pg_temp") === true;
  const target = temporary ? "pg_temp" : (schema ?? work.context.catalog.creationSchema);
  if (target === undefined) {
    work.refuse("missing_name", `there is no schema for \`${name}\` to be made in`, "write its schema before the name");
    return false;
  }
  if (temporary) work.effects.push({ is: "temporary table" });
  touch(work, "create", target, name);
  // `like`, `inherits`, `partition of`.
  for (const { fields: parent } of nodesIn(fields, "inhRelations")) touchRangeVar(work, "alter", parent);
  return temporary;
}

/** The relations that a statement is about, beyond those that it makes. */
function about(work: Work, node: Node, kind: DefinitionKind): void {
  const { fields } = node;
  const action = touchOf(kind.action);
  const missingOk = flagIn(fields, "missing_ok");
  for (const field of ["relation", "table", "sequence"]) {
    const rangeVar = treeIn(fields, field);
    if (rangeVar !== undefined && kind.makes !== field) touchRangeVar(work, action, rangeVar, missingOk);
  }
  const type = textIn(fields, "removeType") ?? textIn(fields, "objtype") ?? textIn(fields, "objectType") ?? "";
  const objects = node.kind === "DropStmt" ? nodesIn(fields, "objects") : [nodeIn(fields, "object")];
  for (const object of objects) {
    const names = object?.kind === "List" ? namesIn(object.fields, "items") : [];
    if (names.length === 0) continue;
    if (relationTypes.has(type)) touchName(work, action, names, missingOk);
    else if (partTypes.has(type)) touchName(work, "alter", names.slice(0, -1), missingOk);
  }
  renamed(work, node);
}

const relationTypes = new Set([
  "OBJECT_TABLE",
  "OBJECT_VIEW",
  "OBJECT_MATVIEW",
  "OBJECT_SEQUENCE",
  "OBJECT_INDEX",
  "OBJECT_FOREIGN_TABLE",
]);

/** Things that belong to a table; their own name comes last. */
const partTypes = new Set(["OBJECT_COLUMN", "OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY", "OBJECT_TABCONSTRAINT"]);

/** A relation that gets another name or schema is a new one to every rule about names. */
function renamed(work: Work, { kind, fields }: Node): void {
  const rangeVar = treeIn(fields, "relation");
  if (rangeVar === undefined) return;
  const relation = work.context.catalog.relation(textIn(rangeVar, "schemaname"), textIn(rangeVar, "relname") ?? "");
  if (typeof relation === "string") return;
  if (kind === "RenameStmt" && relationTypes.has(textIn(fields, "renameType") ?? "")) {
    touch(work, "create", relation.schema, textIn(fields, "newname") ?? "");
  }
  if (kind === "AlterObjectSchemaStmt") touch(work, "create", textIn(fields, "newschema") ?? "", relation.name);
}

/** Walks the rest: queries, expressions, types, and other relations. */
function inside(work: Work, { kind, fields }: Node, action: Touch["action"], skip?: string): void {
  const topLevel = new Set([skip?.split(".")[0], "relation", "table", "sequence", "inhRelations"]);
  const rest = Object.fromEntries(Object.entries(fields).filter(([field]) => !topLevel.has(field)));
  const hidden = skip?.split(".")[0];
  const part = hidden === "base" || hidden === "into" ? treeIn(fields, hidden) : undefined;
  if (part !== undefined) {
    inside(
      work,
      { kind: hidden === "base" ? "CreateStmt" : "IntoClause", fields: part },
      action,
      hidden === "base" ? "relation" : "rel",
    );
    for (const { fields: parent } of nodesIn(part, "inhRelations")) touchRangeVar(work, "alter", parent);
  }
  for (const child of childrenOf(kind, rest)) insideNode(work, child, action);
}

function insideNode(work: Work, node: Node, action: Touch["action"]): void {
  const { kind, fields } = node;
  switch (kind) {
    case "RangeVar":
      touchRangeVar(work, action, fields);
      return;
    case "TableLikeClause": {
      const source = treeIn(fields, "relation");
      const relation = source && work.relation(source);
      if (relation !== undefined) read(work.use(relation, true), undefined);
      return;
    }
    case "Constraint": {
      const referenced = treeIn(fields, "pktable");
      if (referenced !== undefined) touchRangeVar(work, "alter", referenced);
      for (const child of childrenOf(kind, { ...fields, pktable: undefined })) insideNode(work, child, action);
      return;
    }
    case "ObjectWithArgs":
      return;
    case "CreateStmt":
    case "IndexStmt":
    case "ViewStmt":
    case "CreateSeqStmt":
    case "CreateTrigStmt":
    case "GrantStmt":
      // Inside `create schema` and `alter default privileges`.
      if (kind !== "GrantStmt" || nodesIn(fields, "objects").length > 0) definition(work, node);
      return;
    case "SelectStmt":
    case "InsertStmt":
    case "UpdateStmt":
    case "DeleteStmt":
    case "MergeStmt":
      work.walk.query(work, node, emptyScope);
      return;
    case "FuncCall":
    case "A_Expr":
    case "TypeCast":
    case "TypeName":
    case "SubLink":
      expression(work, node, emptyScope);
      return;
    case "VariableSetStmt":
      return;
    case "ExecuteStmt":
      work.refuse("never_judged", "what it runs is not in its text", "write the query itself");
      return;
    default:
      for (const child of childrenOf(kind, fields)) insideNode(work, child, action);
  }
}

/** A key's own login is made and ended by Cardea alone. */
function ownRole(work: Work, { kind, fields }: Node): void {
  const roles = ["AlterRoleStmt", "AlterRoleSetStmt"].includes(kind) ? [treeIn(fields, "role")] : [];
  const renames = kind === "RenameStmt" && textIn(fields, "renameType") === "OBJECT_ROLE" && textIn(fields, "subname");
  const isOwn = (role: Tree | undefined): boolean =>
    role === undefined ||
    textIn(role, "roletype") !== "ROLESPEC_CSTRING" ||
    textIn(role, "rolename") === work.context.login;
  if (roles.some(isOwn) || renames === work.context.login) {
    work.refuse("never_judged", "a session cannot change its own login", "name another role");
  }
}

function isAboutRoles(fields: Tree): boolean {
  const types = ["renameType", "removeType", "objtype", "objectType"].map((field) => textIn(fields, field));
  return types.some((type) => type !== undefined && globalTypes.has(type));
}

/** Objects that are not the database's own, or that reach beyond it. */
const globalTypes = new Set([
  "OBJECT_ROLE",
  "OBJECT_DATABASE",
  "OBJECT_TABLESPACE",
  "OBJECT_PARAMETER_ACL",
  "OBJECT_FDW",
  "OBJECT_FOREIGN_SERVER",
  "OBJECT_EVENT_TRIGGER",
  "OBJECT_EXTENSION",
  "OBJECT_LANGUAGE",
  "OBJECT_PUBLICATION",
  "OBJECT_SUBSCRIPTION",
  "OBJECT_ACCESS_METHOD",
]);

function hasCascade({ kind, fields }: Node): boolean {
  return (
    kind === "AlterTableStmt" &&
    nodesIn(fields, "cmds").some((cmd) => textIn(cmd.fields, "behavior") === "DROP_CASCADE")
  );
}

/** Forms that the server refuses inside a transaction block. */
function isAlone({ kind, fields }: Node): boolean {
  if (kind === "VacuumStmt") return flagIn(fields, "is_vacuumcmd");
  if (kind === "ReindexStmt" || kind === "ClusterStmt") {
    return treeIn(fields, "relation") === undefined || nodesIn(fields, "params").some(isConcurrently);
  }
  if (flagIn(fields, "concurrent") && kind !== "RefreshMatViewStmt") return true;
  return nodesIn(fields, "cmds").some((cmd) => flagIn(nodeIn(cmd.fields, "def")?.fields ?? {}, "concurrent"));
}

function isConcurrently({ fields }: Node): boolean {
  return textIn(fields, "defname") === "concurrently";
}

function touchRangeVar(work: Work, action: Touch["action"], rangeVar: Tree, missingOk = false): void {
  const schema = textIn(rangeVar, "schemaname");
  touchName(
    work,
    action,
    schema === undefined ? [textIn(rangeVar, "relname") ?? ""] : [schema, textIn(rangeVar, "relname") ?? ""],
    missingOk,
  );
}

function touchName(work: Work, action: Touch["action"], names: readonly string[], missingOk: boolean): void {
  const { schema, name } = splitName(names);
  const relation = work.relationNamed(schema, name, missingOk);
  if (relation !== undefined) touch(work, action, relation.temporary ? "pg_temp" : relation.schema, relation.name);
  // What is not there is left alone; it may be there when the statement runs.
  else if (missingOk) touch(work, action, schema ?? work.context.catalog.creationSchema ?? "public", name);
}

function touch(work: Work, action: Touch["action"], schema: string, name: string): void {
  work.touches.push({ action, schema, name, columns: "all", where: false });
}
