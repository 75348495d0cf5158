/** Outposts and enrolment tokens. An outpost's keys are believed from its signed enrolment only. */
import type { ColumnType, Selectable } from "kysely";
import { Enrolment } from "@cardea/core/wire/enrolment";
import type { GrantId, OutpostId, SubjectId, TokenId } from "@cardea/core/contract/ids";
import type { LeaseCounts } from "@cardea/core/wire/link";
import type { Time } from "@cardea/core/documents/primitives";
import type { Control, ControlKeys, Tx } from "../control.ts";
import { readSigned, signedColumns, type Signed } from "./signed.ts";

type Db = Control["db"] | Tx;

interface OutpostsTable {
  id: OutpostId;
  name: string;
  digest: string;
  document: string;
  signatures: ColumnType<unknown, string, string>;
  enrolled_at: Time;
  retired_at: Time | null;
  connection: string | null;
  connection_until: Time | null;
  last_seen_at: Time | null;
  leases_live: number | null;
  leases_ending: number | null;
  leases_stuck: number | null;
}

interface EnrolmentTokensTable {
  id: TokenId;
  name: string;
  created_by: SubjectId;
  created_at: Time;
  expires_at: Time;
  used_at: Time | null;
}

export interface OutpostTables {
  outposts: OutpostsTable;
  enrolment_tokens: EnrolmentTokensTable;
}

export interface StoredOutpost {
  readonly enrolment: Enrolment;
  readonly connection: string | undefined;
  /** The link counts as up until then. */
  readonly connectionUntil: Time | undefined;
  readonly lastSeenAt: Time | undefined;
  readonly leases: LeaseCounts | undefined;
}

/** An outpost that is not retired, as the row says: whether it has its name still is in the signed roster. @throws CardeaError `evidence_signature` where its row was altered */
export async function maybeOneOutpost(
  db: Db,
  keys: ControlKeys,
  { id }: { readonly id: OutpostId },
): Promise<StoredOutpost | undefined> {
  const row = await db
    .selectFrom("outposts")
    .selectAll()
    .where("retired_at", "is", null)
    .where("id", "=", id)
    .executeTakeFirst();
  return row === undefined ? undefined : stored(keys, row);
}

/** By name; retired ones left out. */
export async function manyOutposts(
  db: Db,
  keys: ControlKeys,
  after: string | undefined,
  limit: number,
): Promise<StoredOutpost[]> {
  let query = db.selectFrom("outposts").selectAll().where("retired_at", "is", null).orderBy("name").limit(limit);
  if (after !== undefined) query = query.where("name", ">", after);
  return (await query.execute()).map((row) => stored(keys, row));
}

/** What a retired outpost leaves to the one that replaces it. */
export interface Inheritance {
  readonly from: OutpostId;
  /** Grants that may have a key, which the lost outpost cannot take back any more. */
  readonly grants: readonly GrantId[];
}

/** Retires whoever has the name, adds the new one, and hands resources and open grants over. */
export async function insertOutpost(tx: Tx, signed: Signed<Enrolment>): Promise<Inheritance | undefined> {
  const { id, name, enrolledAt } = signed.document;
  const retired = await tx
    .updateTable("outposts")
    .set({ retired_at: enrolledAt, connection: null, connection_until: null })
    .where("name", "=", name)
    .where("retired_at", "is", null)
    .returning("id")
    .executeTakeFirst();
  await tx
    .insertInto("outposts")
    .values({ id, name, ...signedColumns(signed), enrolled_at: enrolledAt })
    .execute();
  if (retired === undefined) return undefined;
  // The specification names the lost outpost, so nothing can be asked for until the new one has reported.
  await tx
    .updateTable("resources")
    .set({ outpost: id, state: "unknown", spec_digest: null })
    .where("outpost", "=", retired.id)
    .execute();
  // Evidence made for the lost outpost stays dead, as requests name it; only what reports the grants' ends changes.
  const grants = await tx
    .updateTable("grants")
    .set({ outpost: id })
    .where("outpost", "=", retired.id)
    .where("state", "in", ["issuing", "active", "ending"])
    .returning("id")
    .execute();
  return { from: retired.id, grants: grants.map((grant) => grant.id) };
}

/** Of these grants the outpost's own: it is heard on no others. */
export async function manyGrantsOf(
  db: Db,
  outpost: OutpostId,
  grants: readonly GrantId[],
): Promise<ReadonlySet<GrantId>> {
  if (grants.length === 0) return new Set();
  const rows = await db
    .selectFrom("grants")
    .select("id")
    .where("id", "in", [...grants])
    .where("outpost", "=", outpost)
    .execute();
  return new Set(rows.map((row) => row.id));
}

/** From now on the newest link of the outpost is this one. */
export async function takeConnection(
  db: Db,
  outpost: OutpostId,
  connection: string,
  now: Time,
  until: Time,
): Promise<void> {
  await db
    .updateTable("outposts")
    .set({ connection, connection_until: until, last_seen_at: now })
    .where("id", "=", outpost)
    .execute();
}

/** Notes a sign of life. `false` where a newer link has taken over. */
export async function keepConnection(
  db: Db,
  outpost: OutpostId,
  connection: string,
  now: Time,
  until: Time,
  leases: LeaseCounts,
): Promise<boolean> {
  const result = await db
    .updateTable("outposts")
    .set({
      connection_until: until,
      last_seen_at: now,
      leases_live: leases.live,
      leases_ending: leases.ending,
      leases_stuck: leases.stuck,
    })
    .where("id", "=", outpost)
    .where("connection", "=", connection)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** `false` where a newer link has taken over, which then stays. */
export async function leaveConnection(db: Db, outpost: OutpostId, connection: string): Promise<boolean> {
  const result = await db
    .updateTable("outposts")
    .set({ connection: null, connection_until: null })
    .where("id", "=", outpost)
    .where("connection", "=", connection)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

export async function insertEnrolmentToken(
  tx: Tx,
  token: {
    readonly id: TokenId;
    readonly name: string;
    readonly createdBy: SubjectId;
    readonly createdAt: Time;
    readonly expiresAt: Time;
  },
): Promise<void> {
  await tx
    .insertInto("enrolment_tokens")
    .values({
      id: token.id,
      name: token.name,
      created_by: token.createdBy,
      created_at: token.createdAt,
      expires_at: token.expiresAt,
    })
    .execute();
}

/** Marks the token used. `false` where it is unknown, used or expired: of two that try, one gets `true`. */
export async function spendEnrolmentToken(tx: Tx, id: TokenId, now: Time): Promise<boolean> {
  const result = await tx
    .updateTable("enrolment_tokens")
    .set({ used_at: now })
    .where("id", "=", id)
    .where("used_at", "is", null)
    .where("expires_at", ">", now)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

function stored(keys: ControlKeys, row: Selectable<OutpostsTable>): StoredOutpost {
  const { leases_live: live, leases_ending: ending, leases_stuck: stuck } = row;
  return {
    enrolment: readSigned(keys, "link", Enrolment, row).document,
    connection: row.connection ?? undefined,
    connectionUntil: row.connection_until ?? undefined,
    lastSeenAt: row.last_seen_at ?? undefined,
    leases: live === null || ending === null || stuck === null ? undefined : { live, ending, stuck },
  };
}
