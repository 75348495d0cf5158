/** Sessions as outposts report them. An outpost's own store is the truth; these rows are for showing, and for finding whom to tell to end one. */
import { sql, type ColumnType, type Selectable } from "kysely";
import type { GrantId, LeaseId, OutpostId, SessionId, SubjectId } from "@cardea/core/contract/ids";
import type { Time } from "@cardea/core/documents/primitives";
import type { StateOf } from "@cardea/core/lifecycle/states";
import {
  SessionCloseReason,
  type PermissionUse,
  type SessionClosed,
  type SessionOpened,
} from "@cardea/core/wire/session-events";
import type { Control, Tx } from "../control.ts";

type Db = Control["db"] | Tx;
type SessionState = StateOf<"session">;

interface SessionUseTable {
  session_id: SessionId;
  position: number;
  name: string;
  facets: ColumnType<unknown, string | null, never>;
  count: number;
}

interface SessionsTable {
  id: SessionId;
  grant_id: GrantId;
  lease_id: LeaseId | null;
  outpost: OutpostId;
  state: SessionState;
  previous_state: SessionState | null;
  source_ip: string | null;
  database: string | null;
  application: string | null;
  tls: string | null;
  opened_at: Time;
  end_asked_at: Time | null;
  closed_at: Time | null;
  why: string | null;
  words: string | null;
  actions: number | null;
  refused: number | null;
  rows: number | null;
  bytes_in: number | null;
  bytes_out: number | null;
}

export interface SessionTables {
  sessions: SessionsTable;
  session_use: SessionUseTable;
}

export interface StoredSession {
  readonly id: SessionId;
  readonly grant: GrantId;
  readonly outpost: OutpostId;
  readonly state: SessionState;
  readonly opened: Partial<SessionOpened>;
  readonly openedAt: Time;
  readonly endAskedAt: Time | undefined;
  readonly closedAt: Time | undefined;
  readonly closed: SessionClosed | undefined;
}

/** A session with what its grant's row says of it: for showing; who acts on it looks at the grant itself. */
export interface ListedSession extends StoredSession {
  readonly requester: SubjectId;
  readonly resource: string;
  readonly role: string | undefined;
}

export interface NewSession {
  readonly id: SessionId;
  readonly grant: GrantId;
  readonly lease: LeaseId | undefined;
  readonly outpost: OutpostId;
  readonly opened: Partial<SessionOpened>;
  readonly at: Time;
}

/** Notes an open session. One that is known, under whatever grant, is left as it is. */
export async function insertSession(tx: Tx, { id, grant, lease, outpost, opened, at }: NewSession): Promise<void> {
  await tx
    .insertInto("sessions")
    .values({
      id,
      grant_id: grant,
      lease_id: lease ?? null,
      outpost,
      state: "open",
      source_ip: opened.sourceIp ?? null,
      database: opened.database ?? null,
      application: opened.application ?? null,
      tls: opened.tls ?? null,
      opened_at: at,
    })
    .onConflict((conflict) => conflict.column("id").doNothing())
    .execute();
}

/** `false` where it was closed before, or is another grant's. */
export async function closeSession(
  tx: Tx,
  which: { readonly id: SessionId; readonly grant: GrantId },
  closed: SessionClosed,
  at: Time,
): Promise<boolean> {
  const changed = await tx
    .updateTable("sessions")
    .set({
      state: "closed",
      closed_at: at,
      why: closed.why,
      words: closed.words ?? null,
      actions: closed.actions ?? null,
      refused: closed.refused ?? null,
      rows: closed.rows ?? null,
      bytes_in: closed.bytesIn ?? null,
      bytes_out: closed.bytesOut ?? null,
    })
    .where("id", "=", which.id)
    .where("grant_id", "=", which.grant)
    .where("state", "=", "open")
    .returning("id")
    .executeTakeFirst();
  return changed !== undefined;
}

/** Sessions that an outpost told of and not of their end. */
export async function manyOpenSessionsOf(
  db: Db,
  outpost: OutpostId,
): Promise<{ readonly id: SessionId; readonly grant: GrantId }[]> {
  return await db
    .selectFrom("sessions")
    .select(["id", "grant_id as grant"])
    .where("state", "=", sql.lit<SessionState>("open"))
    .where("outpost", "=", outpost)
    .orderBy("id")
    .execute();
}

/** Keeps which permissions were used in a session; what is known of it stays. */
export async function insertSessionUse(tx: Tx, id: SessionId, uses: readonly PermissionUse[]): Promise<void> {
  if (uses.length === 0) return;
  await tx
    .insertInto("session_use")
    .values(
      uses.map(({ name, facets, count }, position) => ({
        session_id: id,
        position,
        name,
        facets: facets === undefined ? null : JSON.stringify(facets),
        count,
      })),
    )
    .onConflict((conflict) => conflict.columns(["session_id", "position"]).doNothing())
    .execute();
}

/** Notes that somebody asked for its end; `false` where somebody had before, or it is closed. */
export async function askForEnd(tx: Tx, id: SessionId, at: Time): Promise<boolean> {
  const changed = await tx
    .updateTable("sessions")
    .set({ end_asked_at: at })
    .where("id", "=", id)
    .where("state", "=", "open")
    .where("end_asked_at", "is", null)
    .returning("id")
    .executeTakeFirst();
  return changed !== undefined;
}

export async function maybeOneSession(db: Db, id: SessionId): Promise<ListedSession | undefined> {
  const row = await listed(db).where("sessions.id", "=", id).executeTakeFirst();
  return row === undefined ? undefined : stored(row);
}

export interface SessionFilter {
  readonly grant?: GrantId | undefined;
  readonly resource?: string | undefined;
  readonly state?: SessionState | undefined;
  /** Only this subject's own, or their agent's. */
  readonly concerning?: SubjectId | undefined;
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Newest first. */
export async function manySessions(db: Db, filter: SessionFilter): Promise<ListedSession[]> {
  let query = listed(db).orderBy("sessions.id", "desc").limit(filter.limit);
  const { grant, resource, state, concerning, before } = filter;
  if (grant !== undefined) query = query.where("sessions.grant_id", "=", grant);
  if (resource !== undefined) query = query.where("grants.resource", "=", resource);
  if (state !== undefined) query = query.where("sessions.state", "=", state);
  if (before !== undefined) query = query.where(sql<string>`sessions.id`, "<", before);
  if (concerning !== undefined) {
    query = query.where((eb) =>
      eb.or([eb("grants.requester", "=", concerning), eb("grants.on_behalf_of", "=", concerning)]),
    );
  }
  return (await query.execute()).map(stored);
}

export interface SessionCounts {
  readonly open: number;
  readonly opened: number;
}

/** How many sessions grants have and had; a grant without any is not in the answer. */
export async function sessionCounts(db: Db, grants: readonly GrantId[]): Promise<ReadonlyMap<GrantId, SessionCounts>> {
  if (grants.length === 0) return new Map();
  const rows = await db
    .selectFrom("sessions")
    .select(({ fn }) => [
      "grant_id",
      fn.countAll<number>().as("opened"),
      fn.countAll<number>().filterWhere("state", "=", "open").as("open"),
    ])
    .where("grant_id", "in", [...grants])
    .groupBy("grant_id")
    .execute();
  return new Map(rows.map((row) => [row.grant_id, { open: row.open, opened: row.opened }]));
}

function listed(db: Db) {
  return db
    .selectFrom("sessions")
    .innerJoin("grants", "grants.id", "sessions.grant_id")
    .selectAll("sessions")
    .select(["grants.requester", "grants.resource", "grants.role"]);
}

type ListedRow = Selectable<SessionsTable> & {
  readonly requester: SubjectId;
  readonly resource: string;
  readonly role: string | null;
};

function stored(row: ListedRow): ListedSession {
  return {
    id: row.id,
    grant: row.grant_id,
    outpost: row.outpost,
    state: row.state,
    opened: {
      ...(row.source_ip !== null && { sourceIp: row.source_ip }),
      ...(row.database !== null && { database: row.database }),
      ...(row.application !== null && { application: row.application }),
      ...(row.tls !== null && { tls: row.tls }),
    },
    openedAt: row.opened_at,
    endAskedAt: row.end_asked_at ?? undefined,
    closedAt: row.closed_at ?? undefined,
    closed: row.why === null ? undefined : closedOf(row, row.why),
    requester: row.requester,
    resource: row.resource,
    role: row.role ?? undefined,
  };
}

function closedOf(row: ListedRow, why: string): SessionClosed {
  return {
    why: SessionCloseReason.parse(why),
    ...(row.words !== null && { words: row.words }),
    ...(row.actions !== null && { actions: row.actions }),
    ...(row.refused !== null && { refused: row.refused }),
    ...(row.rows !== null && { rows: row.rows }),
    ...(row.bytes_in !== null && { bytesIn: row.bytes_in }),
    ...(row.bytes_out !== null && { bytesOut: row.bytes_out }),
  };
}
