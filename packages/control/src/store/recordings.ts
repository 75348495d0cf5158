/** Recordings of sessions: how much of each has come, what it is to come to, and who was logged as reading it. */
import { sql } from "kysely";
import type { GrantId, OutpostId, SessionId, SubjectId } from "@cardea/core/contract/ids";
import type { Time } from "@cardea/core/documents/primitives";
import type { Control, Tx } from "../control.ts";

type Db = Control["db"] | Tx;

interface RecordingsTable {
  session_id: SessionId;
  grant_id: GrantId;
  outpost: OutpostId;
  month: string;
  began_at: Time;
  pieces: number;
  piece_bytes: number;
  file_bytes: number;
  chain: string | null;
  closed_pieces: number | null;
  closed_digest: string | null;
  truncated: boolean;
  closed_at: Time | null;
  broken: string | null;
  removed_at: Time | null;
}

interface RecordingReadingsTable {
  session_id: SessionId;
  subject: SubjectId;
  with_values: boolean;
  read_at: Time;
}

export interface RecordingTables {
  recordings: RecordingsTable;
  recording_readings: RecordingReadingsTable;
}

/** What a recording has come to so far. */
export interface RecordingProgress {
  readonly pieces: number;
  readonly pieceBytes: number;
  readonly fileBytes: number;
  /** Hexadecimal; absent before the first piece. */
  readonly chain: string | undefined;
}

export interface ClosedRecording {
  readonly pieces: number;
  readonly digest: string;
  readonly truncated: boolean;
  /** When this was told. */
  readonly at: Time;
}

export interface StoredRecording extends RecordingProgress {
  readonly session: SessionId;
  readonly grant: GrantId;
  readonly outpost: OutpostId;
  readonly month: string;
  /** What the outpost said that all of it comes to; absent while the session is open. */
  readonly closed: ClosedRecording | undefined;
  readonly broken: string | undefined;
  readonly removedAt: Time | undefined;
}

type Known = Pick<StoredRecording, "session" | "grant" | "outpost">;

/** The recording's row, locked; made where there is none. Under which grant and outpost it stands is settled by the first who asks. */
export async function recordingLocked(tx: Tx, known: Known, at: Time): Promise<StoredRecording> {
  await tx
    .insertInto("recordings")
    .values({
      session_id: known.session,
      grant_id: known.grant,
      outpost: known.outpost,
      month: at.slice(0, 7),
      began_at: at,
      pieces: 0,
      piece_bytes: 0,
      file_bytes: 0,
      truncated: false,
    })
    .onConflict((conflict) => conflict.column("session_id").doNothing())
    .execute();
  const row = await tx
    .selectFrom("recordings")
    .selectAll()
    .where("session_id", "=", known.session)
    .forUpdate()
    .executeTakeFirstOrThrow();
  return stored(row);
}

export async function maybeOneRecording(db: Db, session: SessionId): Promise<StoredRecording | undefined> {
  const row = await db.selectFrom("recordings").selectAll().where("session_id", "=", session).executeTakeFirst();
  return row === undefined ? undefined : stored(row);
}

export async function noteProgress(
  tx: Tx,
  session: SessionId,
  { pieces, pieceBytes, fileBytes, chain }: RecordingProgress,
): Promise<void> {
  await tx
    .updateTable("recordings")
    .set({ pieces, piece_bytes: pieceBytes, file_bytes: fileBytes, chain: chain ?? null })
    .where("session_id", "=", session)
    .execute();
}

/** What was said first stands. */
export async function noteClosed(tx: Tx, session: SessionId, closed: ClosedRecording): Promise<void> {
  await tx
    .updateTable("recordings")
    .set({
      closed_pieces: closed.pieces,
      closed_digest: closed.digest,
      truncated: closed.truncated,
      closed_at: closed.at,
    })
    .where("session_id", "=", session)
    .where("closed_at", "is", null)
    .execute();
}

export async function noteBroken(tx: Tx, session: SessionId, why: string): Promise<void> {
  await tx
    .updateTable("recordings")
    .set({ broken: why })
    .where("session_id", "=", session)
    .where("broken", "is", null)
    .execute();
}

/** Recordings that began before this time, and whose files are still there. */
export async function manyOldRecordings(db: Db, before: Time, limit: number): Promise<SessionId[]> {
  const rows = await db
    .selectFrom("recordings")
    .select("session_id")
    .where("removed_at", "is", null)
    .where("began_at", "<", before)
    .orderBy("began_at")
    .limit(limit)
    .execute();
  return rows.map((row) => row.session_id);
}

/** Answers whether it was there until now. */
export async function noteRemoved(tx: Tx, session: SessionId, at: Time): Promise<boolean> {
  const changed = await tx
    .updateTable("recordings")
    .set({ removed_at: at })
    .where("session_id", "=", session)
    .where("removed_at", "is", null)
    .returning("session_id")
    .executeTakeFirst();
  return changed !== undefined;
}

export interface Reading {
  readonly session: SessionId;
  readonly subject: SubjectId;
  readonly withValues: boolean;
}

/** Notes a reading; `false` where one by the same person was noted since. */
export async function noteReading(tx: Tx, reading: Reading, at: Time, since: Time): Promise<boolean> {
  const noted = await tx
    .insertInto("recording_readings")
    .values({
      session_id: reading.session,
      subject: reading.subject,
      with_values: reading.withValues,
      read_at: at,
    })
    .onConflict((conflict) =>
      conflict
        .columns(["session_id", "subject", "with_values"])
        .doUpdateSet({ read_at: at })
        .where(sql`recording_readings.read_at`, "<", since),
    )
    .returning("session_id")
    .executeTakeFirst();
  return noted !== undefined;
}

function stored(row: RecordingsTable): StoredRecording {
  return {
    session: row.session_id,
    grant: row.grant_id,
    outpost: row.outpost,
    month: row.month,
    pieces: row.pieces,
    pieceBytes: row.piece_bytes,
    fileBytes: row.file_bytes,
    chain: row.chain ?? undefined,
    closed:
      row.closed_pieces === null || row.closed_digest === null || row.closed_at === null
        ? undefined
        : { pieces: row.closed_pieces, digest: row.closed_digest, truncated: row.truncated, at: row.closed_at },
    broken: row.broken ?? undefined,
    removedAt: row.removed_at ?? undefined,
  };
}
