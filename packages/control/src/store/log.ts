/**
 * The audit log as it stands in the database: what waits for its place, the entries in order, hash tiles above them, the newest signed
 * head. Only the audit writer appends; it does so on the connection that holds its lock, so a lost lock is a failed statement.
 */
import { sql, type ColumnType, type Generated } from "kysely";
import type { Client } from "pg";
import type { EventId, RequestId } from "@cardea/core/contract/ids";
import type { Time } from "@cardea/core/documents/primitives";
import { encodeBundle, tileWidth, type TileRef } from "@cardea/core/log/tiles";
import type { Control, Tx } from "../control.ts";
import { advisoryLocks } from "./locks.ts";

type Db = Control["db"] | Tx;

interface AuditEntriesTable {
  index: number;
  event_id: EventId;
  at: Time;
  type: string;
  refs: string[];
  leaf: string;
  leaf_hash: Buffer;
  salt: string | null;
  data: string | null;
}

export interface LogTables {
  audit_pending: {
    seq: Generated<number>;
    event_id: EventId;
    event: string;
    mac: ColumnType<Buffer, Uint8Array, never>;
  };
  audit_entries: AuditEntriesTable;
  log_tiles: { level: number; index: number; width: number; bytes: Buffer };
  log_head: { singleton: Generated<boolean>; size: number; checkpoint: string; at: Time };
}

export interface PendingEvent {
  readonly eventId: EventId;
  /** Canonical JSON. */
  readonly event: string;
  readonly mac: Uint8Array;
}

/** Queues events in the caller's transaction, in this order. An event that is queued already is passed over. */
export async function insertPending(tx: Tx, events: readonly PendingEvent[]): Promise<void> {
  if (events.length === 0) return;
  await tx
    .insertInto("audit_pending")
    .values(events.map(({ eventId, event, mac }) => ({ event_id: eventId, event, mac: Buffer.from(mac) })))
    .onConflict((conflict) => conflict.column("event_id").doNothing())
    .execute();
}

/** Whether this connection now holds the one writer's lock; it does until it ends. */
export async function tryWriterLock(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ held: boolean }>("select pg_try_advisory_lock($1) as held", [
    advisoryLocks.sequencer,
  ]);
  return rows[0]?.held === true;
}

export interface QueuedEvent extends PendingEvent {
  readonly seq: number;
  /** An entry of the log has this event already: a repeated delivery, or a row put back by hand. */
  readonly sequenced: boolean;
}

/** What waits, oldest first. */
export async function manyPending(client: Client, limit: number): Promise<QueuedEvent[]> {
  const { rows } = await client.query<{
    seq: number;
    event_id: EventId;
    event: string;
    mac: Buffer;
    sequenced: boolean;
  }>({
    name: "many-pending",
    // Row by row: for a queue that looks long the planner would sooner read the whole log once than look each event up in it.
    text: `
      select seq, event_id, event, mac, found.sequenced is not null as sequenced
      from audit_pending
      left join lateral (
        select true as sequenced from audit_entries where audit_entries.event_id = audit_pending.event_id limit 1
      ) as found on true
      order by seq
      limit $1`,
    values: [limit],
  });
  return rows.map(({ seq, event_id, event, mac, sequenced }) => ({ seq, eventId: event_id, event, mac, sequenced }));
}

export interface NewEntry {
  readonly eventId: EventId;
  readonly at: Time;
  readonly type: string;
  readonly refs: readonly string[];
  readonly leaf: string;
  readonly leafHash: Uint8Array;
  readonly salt: string;
  readonly data: string;
}

export interface Batch {
  /** Index of the first entry. */
  readonly from: number;
  readonly entries: readonly NewEntry[];
  /** Hash tiles above the leaves that changed. */
  readonly tiles: readonly (TileRef & { readonly level: number; readonly bytes: Uint8Array })[];
  readonly head: LogHead & { readonly at: Time };
  /** Rows of the queue that are done with. */
  readonly done: readonly number[];
}

/**
 * Appends a batch in one statement and so in one commit: entries, tiles, the signed head, and the queue's rows gone. A second writer that
 * continued the same head would violate the entries' primary key, and nothing of its batch would be stored.
 */
export async function appendBatch(client: Client, { from, entries, tiles, head, done }: Batch): Promise<void> {
  await client.query({
    name: "append-batch",
    text: `
      with
      entries as (
        insert into audit_entries (index, event_id, at, type, refs, leaf, leaf_hash, salt, data)
        select $1::bigint + entry.place - 1, entry.event_id, entry.at, entry.type, string_to_array(entry.refs, ' '), entry.leaf,
               entry.leaf_hash, entry.salt, entry.data
        from unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[], $9::text[])
          with ordinality as entry (event_id, at, type, refs, leaf, leaf_hash, salt, data, place)
      ),
      tiles as (
        insert into log_tiles (level, index, width, bytes)
        select tile.level, tile.index, tile.width, tile.bytes
        from unnest($10::smallint[], $11::bigint[], $12::smallint[], $13::bytea[]) as tile (level, index, width, bytes)
        on conflict (level, index) do update set width = excluded.width, bytes = excluded.bytes
      ),
      gone as (
        delete from audit_pending where seq = any($14::bigint[])
      )
      insert into log_head (size, checkpoint, at) values ($15, $16, $17)
      on conflict (singleton) do update set size = excluded.size, checkpoint = excluded.checkpoint, at = excluded.at`,
    values: [
      from,
      entries.map((entry) => entry.eventId),
      entries.map((entry) => entry.at),
      entries.map((entry) => entry.type),
      entries.map((entry) => entry.refs.join(" ")),
      entries.map((entry) => entry.leaf),
      entries.map((entry) => Buffer.from(entry.leafHash)),
      entries.map((entry) => entry.salt),
      entries.map((entry) => entry.data),
      tiles.map((tile) => tile.level),
      tiles.map((tile) => tile.index),
      tiles.map((tile) => tile.width),
      tiles.map((tile) => Buffer.from(tile.bytes)),
      done,
      head.size,
      head.checkpoint,
      head.at,
    ],
  });
}

/** Entries a partition holds. */
const partitionEntries = 1_000_000;

/** Makes sure that these indexes have partitions; below which index there are some then. Only the writer calls it, so nobody makes the same one. */
export async function ensurePartitions(client: Client, from: number, to: number): Promise<number> {
  let start = Math.floor(from / partitionEntries) * partitionEntries;
  for (; start <= to; start += partitionEntries) {
    const name = `audit_entries_p${String(start / partitionEntries)}`;
    await client.query(
      `create table if not exists ${name} partition of audit_entries for values from (${String(start)}) to (${String(start + partitionEntries)})`,
    );
  }
  return start;
}

export interface LogHead {
  readonly size: number;
  /** The signed note. */
  readonly checkpoint: string;
}

export async function maybeOneLogHead(db: Db): Promise<LogHead | undefined> {
  return await db.selectFrom("log_head").select(["size", "checkpoint"]).executeTakeFirst();
}

/** A tile of the log: bundles and leaf hashes from the entries, the rest from the stored tiles. `undefined` where it is not whole. */
export async function maybeOneTile(db: Db, { level, index, width }: TileRef): Promise<Uint8Array | undefined> {
  if (level === "entries") {
    const rows = await entriesOfTile(db, index, width).select("leaf").execute();
    const encoder = new TextEncoder();
    return rows.length === width ? encodeBundle(rows.map((row) => encoder.encode(row.leaf))) : undefined;
  }
  if (level === 0) {
    const rows = await entriesOfTile(db, index, width).select("leaf_hash").execute();
    return rows.length === width ? Buffer.concat(rows.map((row) => row.leaf_hash)) : undefined;
  }
  const row = await db
    .selectFrom("log_tiles")
    .select("bytes")
    .where("level", "=", level)
    .where("index", "=", index)
    .executeTakeFirst();
  return row === undefined || row.bytes.length < 32 * width ? undefined : row.bytes.subarray(0, 32 * width);
}

function entriesOfTile(db: Db, tile: number, width: number) {
  const from = tile * tileWidth;
  return db
    .selectFrom("audit_entries")
    .where("index", ">=", from)
    .where("index", "<", from + width)
    .orderBy("index");
}

export interface StoredEntry {
  readonly index: number;
  readonly leaf: string;
  readonly salt: string | undefined;
  readonly data: string | undefined;
}

/** What the log, and what waits for its place in it, says of a request. */
export interface RequestTrace {
  /** Votes that were cast on it. */
  readonly voted: number;
  readonly settled: boolean;
}

/** In what waits, canonical JSON writes the id beside its key in one way, which no quoted text can hold. */
export async function oneRequestTrace(db: Db, request: RequestId): Promise<RequestTrace> {
  const { rows } = await sql<RequestTrace>`
    select count(*) filter (where type = 'request.voted') as voted,
           coalesce(bool_or(type in ('request.approved', 'request.denied', 'request.withdrawn', 'request.expired')), false) as settled
    from (
      select type from audit_entries where refs @> array[${request}]::text[]
      union all
      select event::jsonb ->> 'type' from audit_pending where strpos(event, ${`"request":"${request}"`}) > 0
    ) as entries`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new TypeError("an aggregate always gives one row");
  return row;
}

export interface EntryFilter {
  readonly type?: string | undefined;
  /** Entries that name this id. */
  readonly id?: string | undefined;
  /** Only entries that name this subject. */
  readonly visibleTo?: string | undefined;
  readonly from?: Time | undefined;
  readonly to?: Time | undefined;
  readonly after?: number | undefined;
  readonly before?: number | undefined;
  readonly order: "asc" | "desc";
  readonly limit: number;
}

export async function manyEntries(db: Db, filter: EntryFilter): Promise<StoredEntry[]> {
  let query = db
    .selectFrom("audit_entries")
    .select(["index", "leaf", "salt", "data"])
    .orderBy("index", filter.order)
    .limit(filter.limit);
  if (filter.type !== undefined) query = query.where("type", "=", filter.type);
  if (filter.id !== undefined) query = query.where(sql<boolean>`refs @> array[${filter.id}]::text[]`);
  if (filter.visibleTo !== undefined) query = query.where(sql<boolean>`refs @> array[${filter.visibleTo}]::text[]`);
  if (filter.from !== undefined) query = query.where("at", ">=", filter.from);
  if (filter.to !== undefined) query = query.where("at", "<", filter.to);
  if (filter.after !== undefined) query = query.where("index", ">", filter.after);
  if (filter.before !== undefined) query = query.where("index", "<", filter.before);
  const rows = await query.execute();
  return rows.map((row) => ({
    index: row.index,
    leaf: row.leaf,
    salt: row.salt ?? undefined,
    data: row.data ?? undefined,
  }));
}
