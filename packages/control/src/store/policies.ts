/** Policy versions. The highest is current; which that is, and that it never goes backwards, `policy/current.ts` makes sure of. */
import { sql, type ColumnType } from "kysely";
import type { SubjectId } from "@cardea/core/contract/ids";
import { Policy } from "@cardea/core/documents/policy";
import type { Time } from "@cardea/core/documents/primitives";
import type { Control, ControlKeys, Tx } from "../control.ts";
import { advisoryLocks } from "./locks.ts";
import { readSigned, signedColumns, type Signed } from "./signed.ts";

type Db = Control["db"] | Tx;

interface PoliciesTable {
  version: number;
  id: string;
  digest: string;
  document: string;
  signatures: ColumnType<unknown, string, string>;
  source: string;
  applied_by: SubjectId | null;
  applied_at: Time;
}

export interface PolicyTables {
  policies: PoliciesTable;
}

export interface StoredPolicy {
  readonly signed: Signed<Policy>;
  readonly source: string;
  readonly appliedBy: SubjectId | undefined;
}

/** One applies at a time; held until the transaction ends. */
export async function lockPolicies(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${advisoryLocks.policy})`.execute(tx);
}

/** The number of the newest version; 0 where there is none. */
export async function oneNewestVersion(
  db: Db,
): Promise<{ readonly version: number; readonly digest: string | undefined }> {
  const row = await db
    .selectFrom("policies")
    .select(["version", "digest"])
    .orderBy("version", "desc")
    .limit(1)
    .executeTakeFirst();
  return { version: row?.version ?? 0, digest: row?.digest };
}

export async function maybeOnePolicy(
  db: Db,
  keys: ControlKeys,
  which: { readonly version: number } | { readonly digest: string },
): Promise<StoredPolicy | undefined> {
  const query = db.selectFrom("policies").selectAll();
  const row = await (
    "version" in which ? query.where("version", "=", which.version) : query.where("digest", "=", which.digest)
  ).executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    signed: readSigned(keys, "policy", Policy, row),
    source: row.source,
    appliedBy: row.applied_by ?? undefined,
  };
}

export async function insertPolicy(tx: Tx, { signed, source, appliedBy }: StoredPolicy): Promise<void> {
  const { id, version, at } = signed.document;
  await tx
    .insertInto("policies")
    .values({ version, id, ...signedColumns(signed), source, applied_by: appliedBy ?? null, applied_at: at })
    .execute();
}
