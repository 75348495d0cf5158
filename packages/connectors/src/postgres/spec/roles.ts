/** A configured role as what it permits: the patterns that policy decides on and approvers narrow. */
import type { Pattern } from "@cardea/core/documents/pattern";
import type { PostgresConfig, RoleConfig } from "./config.ts";
import { parsePrivilege, toPattern } from "./privileges.ts";
import { parseTableName } from "./table-name.ts";

/** The permissions of one role over the resource's databases. The configuration has passed its schema. */
export function rolePatterns(role: RoleConfig, databases: PostgresConfig["connect"]["databases"]): readonly Pattern[] {
  if ("member" in role) {
    return role.actions.map((name) => ({
      name,
      facets: { databases: { matcher: "set", values: [...databases].sort() } },
    }));
  }
  return role.grant.flatMap((entry) => {
    const tables = entry.tables.map(parseTableName).filter((table) => table !== undefined);
    return entry.privileges
      .map(parsePrivilege)
      .filter((privilege) => privilege.ok)
      .map((privilege) => toPattern(privilege.value, tables, databases));
  });
}
