/**
 * The allow-list: every kind of node that may appear in a tree, and every field of it. `checkShape` walks the whole tree by it before
 * anything else looks at it, so that no later step can meet, or pass over, something that nobody thought about.
 *
 * One line a kind. `name` is a scalar, `name.` a node, `name*` a list of nodes, `name:Kind` a typed part of that kind. The kinds that only
 * exist after the server's own analysis (`Query`, `Var`, …) are left out on purpose.
 */
import { isTree, type Tree } from "./tree.ts";

const names = `
Integer ival
Float fval
Boolean boolval
String sval
BitString bsval
List items*
A_Star
A_Const ival:Integer fval:Float boolval:Boolean sval:String bsval:BitString isnull location
Alias aliasname colnames*
RoleSpec roletype rolename location
TypeName names* setof pct_type typmods* typemod arrayBounds* location
`;

const expressions = `
ColumnRef fields* location
ParamRef number location
A_Expr kind name* lexpr. rexpr. rexpr_list_start rexpr_list_end location
A_ArrayExpr elements* list_start list_end location
A_Indirection arg. indirection*
A_Indices is_slice lidx. uidx.
TypeCast arg. typeName:TypeName location
CollateClause arg. collname* location
FuncCall funcname* args* agg_order* agg_filter. over:WindowDef agg_within_group agg_star agg_distinct func_variadic funcformat location
NamedArgExpr arg. name argnumber location
WindowDef name refname partitionClause* orderClause* frameOptions startOffset. endOffset. location
SortBy node. sortby_dir sortby_nulls useOp* location
BoolExpr boolop args* location
NullTest arg. nulltesttype argisrow location
BooleanTest arg. booltesttype location
CaseExpr arg. args* defresult. location
CaseWhen expr. result. location
CoalesceExpr args* location
MinMaxExpr op args* location
RowExpr args* row_format colnames* location
GroupingFunc args* location
GroupingSet kind content* location
SQLValueFunction op typmod location
SetToDefault location
CurrentOfExpr cursor_name cursor_param
MergeSupportFunc msftype msfcollid location
SubLink subLinkType testexpr. operName* subselect. location
MultiAssignRef source. colno ncolumns
XmlExpr op name named_args* arg_names* args* xmloption indent location
XmlSerialize xmloption expr. typeName:TypeName indent location
JsonFormat format_type encoding location
JsonReturning format:JsonFormat
JsonOutput typeName:TypeName returning:JsonReturning
JsonValueExpr raw_expr. formatted_expr. format:JsonFormat
JsonArgument val:JsonValueExpr name
JsonBehavior btype expr. coerce location
JsonKeyValue key. value:JsonValueExpr
JsonIsPredicate expr. format:JsonFormat item_type unique_keys location
JsonParseExpr expr:JsonValueExpr output:JsonOutput unique_keys location
JsonScalarExpr expr. output:JsonOutput location
JsonSerializeExpr expr:JsonValueExpr output:JsonOutput location
JsonFuncExpr op column_name context_item:JsonValueExpr pathspec. passing* output:JsonOutput on_empty:JsonBehavior on_error:JsonBehavior wrapper quotes location
JsonObjectConstructor exprs* output:JsonOutput absent_on_null unique location
JsonArrayConstructor exprs* output:JsonOutput absent_on_null location
JsonArrayQueryConstructor query. output:JsonOutput format:JsonFormat absent_on_null location
JsonAggConstructor output:JsonOutput agg_filter. agg_order* over:WindowDef location
JsonObjectAgg constructor:JsonAggConstructor arg:JsonKeyValue absent_on_null unique
JsonArrayAgg constructor:JsonAggConstructor arg:JsonValueExpr absent_on_null
`;

const queries = `
SelectStmt distinctClause* intoClause:IntoClause targetList* fromClause* whereClause. groupClause* groupDistinct havingClause. windowClause* valuesLists* sortClause* limitOffset. limitCount. limitOption lockingClause* withClause:WithClause op all larg:SelectStmt rarg:SelectStmt
InsertStmt relation:RangeVar cols* selectStmt. onConflictClause:OnConflictClause returningClause:ReturningClause withClause:WithClause override
UpdateStmt relation:RangeVar targetList* whereClause. fromClause* returningClause:ReturningClause withClause:WithClause
DeleteStmt relation:RangeVar usingClause* whereClause. returningClause:ReturningClause withClause:WithClause
MergeStmt relation:RangeVar sourceRelation. joinCondition. mergeWhenClauses* returningClause:ReturningClause withClause:WithClause
MergeWhenClause matchKind commandType override condition. targetList* values*
ResTarget name indirection* val. location
ReturningClause options* exprs*
ReturningOption option value location
OnConflictClause action infer:InferClause targetList* whereClause. location
InferClause indexElems* whereClause. conname location
WithClause ctes* recursive location
CommonTableExpr ctename aliascolnames* ctematerialized ctequery. search_clause:CTESearchClause cycle_clause:CTECycleClause location cterecursive
CTESearchClause search_col_list* search_breadth_first search_seq_column location
CTECycleClause cycle_col_list* cycle_mark_column cycle_mark_value. cycle_mark_default. cycle_path_column location
IntoClause rel:RangeVar colNames* accessMethod options* onCommit tableSpaceName skipData
LockingClause lockedRels* strength waitPolicy
RangeVar catalogname schemaname relname inh relpersistence alias:Alias location
RangeSubselect lateral subquery. alias:Alias
RangeFunction lateral ordinality is_rowsfrom functions* alias:Alias coldeflist*
RangeTableFunc lateral docexpr. rowexpr. namespaces* columns* alias:Alias location
RangeTableFuncCol colname typeName:TypeName for_ordinality is_not_null colexpr. coldefexpr. location
RangeTableSample relation. method* args* repeatable. location
JoinExpr jointype isNatural larg. rarg. usingClause* join_using_alias:Alias quals. alias:Alias rtindex
JsonTable context_item:JsonValueExpr pathspec:JsonTablePathSpec passing* columns* on_error:JsonBehavior alias:Alias lateral location
JsonTablePathSpec string. name name_location location
JsonTableColumn coltype name typeName:TypeName pathspec:JsonTablePathSpec format:JsonFormat wrapper quotes columns* on_empty:JsonBehavior on_error:JsonBehavior location
`;

const statements = `
TransactionStmt kind options* savepoint_name gid chain location
VariableSetStmt kind name args* jumble_args is_local location
VariableShowStmt name
DiscardStmt target
ConstraintsSetStmt constraints* deferred
PrepareStmt name argtypes* query.
ExecuteStmt name params*
DeallocateStmt name isall location
DeclareCursorStmt portalname options query.
FetchStmt direction howMany portalname ismove
ClosePortalStmt portalname
ExplainStmt query. options*
CopyStmt relation:RangeVar query. attlist* is_from is_program filename options* whereClause.
CallStmt funccall:FuncCall
LockStmt relations* mode nowait
TruncateStmt relations* restart_seqs behavior
NotifyStmt conditionname payload
ListenStmt conditionname
UnlistenStmt conditionname
DefElem defnamespace defname arg. defaction location
DoStmt args*
`;

const definitions = `
CreateStmt relation:RangeVar tableElts* inhRelations* partbound:PartitionBoundSpec partspec:PartitionSpec ofTypename:TypeName constraints* nnconstraints* options* oncommit tablespacename accessMethod if_not_exists
ColumnDef colname typeName:TypeName compression inhcount is_local is_not_null is_from_type storage storage_name raw_default. identity identitySequence:RangeVar generated collClause:CollateClause constraints* fdwoptions* location
Constraint contype conname deferrable initdeferred is_enforced skip_validation initially_valid is_no_inherit raw_expr. generated_when generated_kind nulls_not_distinct keys* without_overlaps including* exclusions* options* indexname indexspace reset_default_tblspc access_method where_clause. pktable:RangeVar fk_attrs* pk_attrs* fk_with_period pk_with_period fk_matchtype fk_upd_action fk_del_action fk_del_set_cols* location
TableLikeClause relation:RangeVar options
PartitionSpec strategy partParams* location
PartitionElem name expr. collation* opclass* location
PartitionBoundSpec strategy is_default modulus remainder listdatums* lowerdatums* upperdatums* location
PartitionCmd name:RangeVar bound:PartitionBoundSpec concurrent
CreateTableAsStmt query. into:IntoClause objtype is_select_into if_not_exists
ViewStmt view:RangeVar aliases* query. replace options* withCheckOption
RefreshMatViewStmt concurrent skipData relation:RangeVar
IndexStmt idxname relation:RangeVar accessMethod tableSpace indexParams* indexIncludingParams* options* whereClause. excludeOpNames* idxcomment unique nulls_not_distinct primary isconstraint iswithoutoverlaps deferrable initdeferred concurrent if_not_exists reset_default_tblspc
IndexElem name expr. indexcolname collation* opclass* opclassopts* ordering nulls_ordering location
AlterTableStmt relation:RangeVar cmds* objtype missing_ok
AlterTableCmd subtype name num newowner:RoleSpec def. behavior missing_ok recurse
ATAlterConstraint conname alterEnforceability is_enforced alterDeferrability deferrable initdeferred alterInheritability noinherit
ReplicaIdentityStmt identity_type name
AlterTableMoveAllStmt orig_tablespacename objtype roles* new_tablespacename nowait
CreateSeqStmt sequence:RangeVar options* for_identity if_not_exists
AlterSeqStmt sequence:RangeVar options* for_identity missing_ok
CreateSchemaStmt schemaname authrole:RoleSpec schemaElts* if_not_exists
CreateStatsStmt defnames* stat_types* exprs* relations* stxcomment if_not_exists
StatsElem name expr.
AlterStatsStmt defnames* stxstattarget. missing_ok
CreateDomainStmt domainname* typeName:TypeName collClause:CollateClause constraints*
AlterDomainStmt subtype typeName* name def. behavior missing_ok
CompositeTypeStmt typevar:RangeVar coldeflist*
CreateEnumStmt typeName* vals*
AlterEnumStmt typeName* oldVal newVal newValNeighbor newValIsAfter skipIfNewValExists
CreateRangeStmt typeName* params*
AlterTypeStmt typeName* options*
AlterCollationStmt collname*
DefineStmt kind oldstyle defnames* args* definition* if_not_exists replace
CreateFunctionStmt is_procedure replace funcname* parameters* returnType:TypeName options* sql_body.
FunctionParameter name argType:TypeName mode defexpr. location
ReturnStmt returnval.
AlterFunctionStmt objtype func:ObjectWithArgs actions*
ObjectWithArgs objname* objargs* objfuncargs* args_unspecified
CreateTrigStmt replace isconstraint trigname relation:RangeVar funcname* args* row timing events columns* whenClause. transitionRels* deferrable initdeferred constrrel:RangeVar
TriggerTransition name isNew isTable
CreateEventTrigStmt trigname eventname whenclause* funcname*
AlterEventTrigStmt trigname tgenabled
RuleStmt relation:RangeVar rulename whereClause. event instead actions* replace
CreatePolicyStmt policy_name table:RangeVar cmd_name permissive roles* qual. with_check.
AlterPolicyStmt policy_name table:RangeVar roles* qual. with_check.
CreateOpClassStmt opclassname* opfamilyname* amname datatype:TypeName items* isDefault
CreateOpClassItem itemtype name:ObjectWithArgs number order_family* class_args* storedtype:TypeName
CreateOpFamilyStmt opfamilyname* amname
AlterOpFamilyStmt opfamilyname* amname isDrop items*
AlterOperatorStmt opername:ObjectWithArgs options*
CreateCastStmt sourcetype:TypeName targettype:TypeName func:ObjectWithArgs context inout
CreateConversionStmt conversion_name* for_encoding_name to_encoding_name func_name* def
CreateTransformStmt replace type_name:TypeName lang fromsql:ObjectWithArgs tosql:ObjectWithArgs
CreateAmStmt amname handler_name* amtype
AlterTSDictionaryStmt dictname* options*
AlterTSConfigurationStmt kind cfgname* tokentype* dicts* override replace missing_ok
RenameStmt renameType relationType relation:RangeVar object. subname newname behavior missing_ok
AlterObjectSchemaStmt objectType relation:RangeVar object. newschema missing_ok
AlterOwnerStmt objectType relation:RangeVar object. newowner:RoleSpec
AlterObjectDependsStmt objectType relation:RangeVar object. extname:String remove
DropStmt objects* removeType behavior missing_ok concurrent
CommentStmt objtype object. comment
SecLabelStmt objtype object. provider label
VacuumStmt options* rels* is_vacuumcmd
VacuumRelation relation:RangeVar oid va_cols*
ClusterStmt relation:RangeVar indexname params*
ReindexStmt kind relation:RangeVar name params*
GrantStmt is_grant targtype objtype objects* privileges* grantees* grant_option grantor:RoleSpec behavior
AccessPriv priv_name cols*
GrantRoleStmt granted_roles* grantee_roles* is_grant opt* grantor:RoleSpec behavior
AlterDefaultPrivilegesStmt options* action:GrantStmt
`;

const administration = `
CreateRoleStmt stmt_type role options*
AlterRoleStmt role:RoleSpec options* action
AlterRoleSetStmt role:RoleSpec database setstmt:VariableSetStmt
DropRoleStmt roles* missing_ok
DropOwnedStmt roles* behavior
ReassignOwnedStmt roles* newrole:RoleSpec
CreatedbStmt dbname options*
AlterDatabaseStmt dbname options*
AlterDatabaseRefreshCollStmt dbname
AlterDatabaseSetStmt dbname setstmt:VariableSetStmt
DropdbStmt dbname missing_ok options*
AlterSystemStmt setstmt:VariableSetStmt
CreateTableSpaceStmt tablespacename owner:RoleSpec location options*
DropTableSpaceStmt tablespacename missing_ok
AlterTableSpaceOptionsStmt tablespacename options* isReset
CreateExtensionStmt extname if_not_exists options*
AlterExtensionStmt extname options*
AlterExtensionContentsStmt extname action objtype object.
CreateFdwStmt fdwname func_options* options*
AlterFdwStmt fdwname func_options* options*
CreateForeignServerStmt servername servertype version fdwname if_not_exists options*
AlterForeignServerStmt servername version options* has_version
CreateForeignTableStmt base:CreateStmt servername options*
CreateUserMappingStmt user:RoleSpec servername if_not_exists options*
AlterUserMappingStmt user:RoleSpec servername options*
DropUserMappingStmt user:RoleSpec servername missing_ok
ImportForeignSchemaStmt server_name remote_schema local_schema list_type table_list* options*
CreatePLangStmt replace plname plhandler* plinline* plvalidator* pltrusted
CreatePublicationStmt pubname options* pubobjects* for_all_tables
AlterPublicationStmt pubname options* pubobjects* for_all_tables action
PublicationObjSpec pubobjtype name pubtable:PublicationTable location
PublicationTable relation:RangeVar whereClause. columns*
CreateSubscriptionStmt subname conninfo publication* options*
AlterSubscriptionStmt kind subname conninfo publication* options*
DropSubscriptionStmt subname missing_ok behavior
LoadStmt filename
CheckPointStmt
`;

type Field =
  | { readonly is: "scalar" }
  | { readonly is: "node" }
  | { readonly is: "nodes" }
  | { readonly is: "part"; readonly kind: string };

export type Shape = ReadonlyMap<string, Field>;

/** Every known kind and its fields. */
const shapes: ReadonlyMap<string, Shape> = new Map(
  [names, expressions, queries, statements, definitions, administration]
    .flatMap((text) => text.trim().split("\n"))
    .map((line) => {
      const [kind = "", ...fields] = line.split(" ");
      return [kind, new Map(fields.map(readField))];
    }),
);

function readField(text: string): [string, Field] {
  if (text.endsWith(".")) return [text.slice(0, -1), { is: "node" }];
  if (text.endsWith("*")) return [text.slice(0, -1), { is: "nodes" }];
  const [name = "", kind] = text.split(":");
  return [name, kind === undefined ? { is: "scalar" } : { is: "part", kind }];
}

/** What is wrong with a tree. */
export type ShapeFault = { readonly is: "unknown"; readonly what: string } | { readonly is: "deep" };

/** Levels of the tree; ordinary statements stay under 40, a condition of a thousand terms is flat. */
const maxDepth = 1_200;

/** Whether everything in a wrapped node is known; `undefined` when it is. */
export function checkShape(node: unknown, depth = 0): ShapeFault | undefined {
  if (depth > maxDepth) return { is: "deep" };
  if (!isTree(node)) return { is: "unknown", what: "something that is no node" };
  const kinds = Object.keys(node);
  // An empty place in a list, as in `GROUP BY ()`.
  if (kinds.length === 0) return undefined;
  const [kind = ""] = kinds;
  if (kinds.length > 1) return { is: "unknown", what: kinds.join(" and ") };
  const fields = node[kind];
  return isTree(fields) ? checkFields(kind, fields, depth + 1) : { is: "unknown", what: kind };
}

function checkFields(kind: string, fields: Tree, depth: number): ShapeFault | undefined {
  if (depth > maxDepth) return { is: "deep" };
  const shape = shapes.get(kind);
  if (shape === undefined) return { is: "unknown", what: kind };
  for (const name in fields) {
    const field = shape.get(name);
    const value = fields[name];
    const fault =
      field === undefined
        ? { is: "unknown" as const, what: `${kind}.${name}` }
        : checkField(field, value, depth, `${kind}.${name}`);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function checkField(field: Field, value: unknown, depth: number, what: string): ShapeFault | undefined {
  switch (field.is) {
    case "scalar":
      return typeof value === "object" ? { is: "unknown", what } : undefined;
    case "node":
      return checkShape(value, depth + 1);
    case "part":
      return isTree(value) ? checkFields(field.kind, value, depth + 1) : { is: "unknown", what };
    case "nodes": {
      if (!Array.isArray(value)) return { is: "unknown", what };
      // An array of whatever: each item is looked at.
      for (const item of value as readonly unknown[]) {
        const fault = checkShape(item, depth + 1);
        if (fault !== undefined) return fault;
      }
      return undefined;
    }
  }
}

/** The nodes directly below one, typed parts included, in the order of its fields. */
export function childrenOf(kind: string, fields: Tree): readonly { readonly kind: string; readonly fields: Tree }[] {
  const shape = shapes.get(kind);
  const children: { kind: string; fields: Tree }[] = [];
  for (const name in fields) {
    const field = shape?.get(name);
    const value = fields[name];
    if (field?.is === "part" && isTree(value)) children.push({ kind: field.kind, fields: value });
    else if (field?.is === "node") pushNode(children, value);
    else if (field?.is === "nodes" && Array.isArray(value)) for (const item of value) pushNode(children, item);
  }
  return children;
}

function pushNode(children: { kind: string; fields: Tree }[], value: unknown): void {
  if (!isTree(value)) return;
  for (const kind in value) {
    const fields = value[kind];
    if (isTree(fields)) children.push({ kind, fields });
  }
}
