/** Definitions and administration as data: what each statement is called and which action it is. */
import type { ActionName } from "../actions.ts";

export interface DefinitionKind {
  /** For people. */
  readonly label: string;
  readonly action: ActionName;
  /** Fields that hold a relation which is made, `into.rel` by its path. */
  readonly makes?: string;
  /** Leaves code that runs later, with whoever's rights. */
  readonly plants?: true;
  /** Cannot run inside a transaction block. */
  readonly alone?: true;
}

const create = (label: string, more: Partial<DefinitionKind> = {}): DefinitionKind => ({
  label,
  action: "sql.ddl.create",
  ...more,
});
const alter = (label: string, more: Partial<DefinitionKind> = {}): DefinitionKind => ({
  label,
  action: "sql.ddl.alter",
  ...more,
});
const admin = (label: string, more: Partial<DefinitionKind> = {}): DefinitionKind => ({
  label,
  action: "sql.admin",
  ...more,
});

export const definitionKinds: ReadonlyMap<string, DefinitionKind> = new Map<string, DefinitionKind>([
  ["CreateStmt", create("create table", { makes: "relation" })],
  ["CreateTableAsStmt", create("create table as", { makes: "into.rel" })],
  ["CreateForeignTableStmt", create("create foreign table", { makes: "base.relation" })],
  ["ViewStmt", create("create view", { makes: "view" })],
  ["CreateSeqStmt", create("create sequence", { makes: "sequence" })],
  ["CompositeTypeStmt", create("create type", { makes: "typevar" })],
  ["IndexStmt", create("create index")],
  ["CreateSchemaStmt", create("create schema")],
  ["CreateEnumStmt", create("create type")],
  ["CreateDomainStmt", create("create domain")],
  ["CreateRangeStmt", create("create type")],
  ["CreateStatsStmt", create("create statistics")],
  ["CreatePolicyStmt", create("create policy")],
  ["CreateFunctionStmt", create("create function", { plants: true })],
  ["CreateTrigStmt", create("create trigger", { plants: true })],
  ["CreateEventTrigStmt", admin("create event trigger", { plants: true })],
  ["RuleStmt", create("create rule", { plants: true })],
  ["DefineStmt", create("create aggregate, operator or type", { plants: true })],
  ["CreateCastStmt", create("create cast", { plants: true })],
  ["CreateConversionStmt", create("create conversion", { plants: true })],
  ["CreateOpClassStmt", create("create operator class", { plants: true })],
  ["CreateOpFamilyStmt", create("create operator family", { plants: true })],
  ["CreateTransformStmt", create("create transform", { plants: true })],
  ["CreateAmStmt", admin("create access method", { plants: true })],
  ["CreatePLangStmt", admin("create language", { plants: true })],
  ["AlterTableStmt", alter("alter table")],
  ["AlterTableMoveAllStmt", admin("alter table all in tablespace")],
  ["AlterSeqStmt", alter("alter sequence")],
  ["AlterDomainStmt", alter("alter domain")],
  ["AlterEnumStmt", alter("alter type")],
  ["AlterTypeStmt", alter("alter type")],
  ["AlterCollationStmt", alter("alter collation")],
  ["AlterStatsStmt", alter("alter statistics")],
  ["AlterPolicyStmt", alter("alter policy")],
  ["AlterFunctionStmt", alter("alter function", { plants: true })],
  ["AlterOperatorStmt", alter("alter operator", { plants: true })],
  ["AlterOpFamilyStmt", alter("alter operator family", { plants: true })],
  ["AlterTSDictionaryStmt", alter("alter text search dictionary")],
  ["AlterTSConfigurationStmt", alter("alter text search configuration")],
  ["AlterEventTrigStmt", admin("alter event trigger", { plants: true })],
  ["RenameStmt", alter("rename")],
  ["AlterObjectSchemaStmt", alter("set schema")],
  ["AlterOwnerStmt", alter("change owner", { plants: true })],
  ["AlterObjectDependsStmt", alter("depends on extension")],
  ["CommentStmt", alter("comment")],
  ["SecLabelStmt", admin("security label")],
  ["RefreshMatViewStmt", alter("refresh materialized view")],
  ["VacuumStmt", alter("vacuum or analyze")],
  ["ClusterStmt", alter("cluster")],
  ["ReindexStmt", alter("reindex")],
  ["DropStmt", { label: "drop", action: "sql.ddl.drop" }],
  ["GrantStmt", { label: "grant or revoke", action: "sql.grant" }],
  ["GrantRoleStmt", { label: "grant or revoke role", action: "sql.grant" }],
  ["AlterDefaultPrivilegesStmt", { label: "alter default privileges", action: "sql.grant" }],
  ["CreateRoleStmt", admin("create role")],
  ["AlterRoleStmt", admin("alter role")],
  ["AlterRoleSetStmt", admin("alter role")],
  ["DropRoleStmt", admin("drop role")],
  ["DropOwnedStmt", admin("drop owned")],
  ["ReassignOwnedStmt", admin("reassign owned")],
  ["CreatedbStmt", admin("create database", { alone: true })],
  ["AlterDatabaseStmt", admin("alter database")],
  ["AlterDatabaseRefreshCollStmt", admin("alter database")],
  ["AlterDatabaseSetStmt", admin("alter database")],
  ["DropdbStmt", admin("drop database", { alone: true })],
  ["AlterSystemStmt", admin("alter system", { alone: true })],
  ["CreateTableSpaceStmt", admin("create tablespace", { alone: true })],
  ["DropTableSpaceStmt", admin("drop tablespace", { alone: true })],
  ["AlterTableSpaceOptionsStmt", admin("alter tablespace")],
  ["CreateExtensionStmt", admin("create extension", { plants: true })],
  ["AlterExtensionStmt", admin("alter extension", { plants: true })],
  ["AlterExtensionContentsStmt", admin("alter extension", { plants: true })],
  ["CreateFdwStmt", admin("create foreign data wrapper", { plants: true })],
  ["AlterFdwStmt", admin("alter foreign data wrapper", { plants: true })],
  ["CreateForeignServerStmt", admin("create server")],
  ["AlterForeignServerStmt", admin("alter server")],
  ["CreateUserMappingStmt", admin("create user mapping")],
  ["AlterUserMappingStmt", admin("alter user mapping")],
  ["DropUserMappingStmt", admin("drop user mapping")],
  ["ImportForeignSchemaStmt", admin("import foreign schema")],
  ["CreatePublicationStmt", admin("create publication")],
  ["AlterPublicationStmt", admin("alter publication")],
  ["CreateSubscriptionStmt", admin("create subscription", { alone: true })],
  ["AlterSubscriptionStmt", admin("alter subscription", { alone: true })],
  ["DropSubscriptionStmt", admin("drop subscription", { alone: true })],
  ["LoadStmt", admin("load", { plants: true })],
  ["CheckPointStmt", admin("checkpoint")],
]);
