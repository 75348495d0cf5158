/** Every action that a permission on PostgreSQL may name. `sql.session` is what every session may do. */
export const actionNames = [
  "sql.select",
  "sql.insert",
  "sql.update",
  "sql.delete",
  "sql.truncate",
  "sql.merge",
  "sql.copy.in",
  "sql.copy.out",
  "sql.call",
  "sql.ddl.create",
  "sql.ddl.alter",
  "sql.ddl.drop",
  "sql.grant",
  "sql.admin",
  "sql.session",
] as const;
export type ActionName = (typeof actionNames)[number];

/** The actions that a name stands for; a name ending in `.*` stands for all below it. Empty: there is no such action. */
export function actionsNamed(name: string): readonly ActionName[] {
  if (name.endsWith(".*")) return actionNames.filter((action) => action.startsWith(name.slice(0, -1)));
  return actionNames.filter((action) => action === name);
}
