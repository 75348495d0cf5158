/** The newest signed configuration of each resource: who applied or removed it, and from which version the next one counts on. */
import type { ColumnType } from "kysely";
import type { ResourceId } from "@cardea/core/contract/ids";
import { Configuration } from "@cardea/core/documents/configuration";
import type { ControlKeys, Tx } from "../control.ts";
import { openSigned, signedColumns, type Signed } from "./signed.ts";

interface ResourceConfigurationsTable {
  resource_id: ResourceId;
  digest: string;
  document: string;
  signatures: ColumnType<unknown, string, string>;
}

export interface ConfigurationTables {
  resource_configurations: ResourceConfigurationsTable;
}

/** Locks the resource until the transaction ends. `undefined` also where the row was altered: what it said is then unknown. */
export async function maybeOneConfigurationLocked(
  tx: Tx,
  { signing }: Pick<ControlKeys, "signing">,
  resource: ResourceId,
): Promise<Configuration | undefined> {
  await tx.selectFrom("resources").select("id").where("id", "=", resource).forUpdate().execute();
  const row = await tx
    .selectFrom("resource_configurations")
    .select(["digest", "document", "signatures"])
    .where("resource_id", "=", resource)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const document = openSigned(signing.publicKey, "configuration", Configuration, row)?.document;
  return document?.resource === resource ? document : undefined;
}

/** Takes the place of the one before. */
export async function storeConfiguration(tx: Tx, signed: Signed<Configuration>): Promise<void> {
  const columns = signedColumns(signed);
  await tx
    .insertInto("resource_configurations")
    .values({ resource_id: signed.document.resource, ...columns })
    .onConflict((conflict) => conflict.column("resource_id").doUpdateSet(columns))
    .execute();
}
