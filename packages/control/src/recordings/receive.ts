/**
 * Takes pieces of recordings that an outpost sends: each goes to its session's file, and is acknowledged once that is on the disk and the row that
 * counts it is committed. Sent twice, it is passed over. What is no piece of a recording of that outpost is refused, logged, and not asked for
 * again; what cannot be stored now stays at the outpost.
 */
import type { Enrolment } from "@cardea/core/wire/enrolment";
import type { EventId, SessionId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import { fromHex, toHex } from "@cardea/core/lib/hex";
import { chainDigest, chained, chainStart, parsePiece } from "@cardea/core/recording/piece";
import type { RecordingPiece } from "@cardea/core/wire/link";
import type { SessionClosed } from "@cardea/core/wire/session-events";
import { record } from "../audit/record.ts";
import type { Control, Tx } from "../control.ts";
import { manyGrantsOf } from "../store/outposts.ts";
import {
  noteBroken,
  noteClosed,
  noteProgress,
  recordingLocked,
  type RecordingProgress,
  type StoredRecording,
} from "../store/recordings.ts";
import { transact } from "../store/transaction.ts";
import { recordingPath, writePieces, type StoredPiece } from "./files.ts";

/** Sessions whose files are written at once: each holds a connection to the database meanwhile. */
const atOnce = 4;

/** Answers with the ids to acknowledge; of a session whose pieces cannot be stored now there are none. */
export async function takePieces(
  control: Control,
  outpost: Enrolment,
  messages: readonly RecordingPiece[],
): Promise<EventId[]> {
  const bySession = new Map<SessionId, RecordingPiece[]>();
  for (const message of messages) {
    const known = bySession.get(message.session);
    if (known === undefined) bySession.set(message.session, [message]);
    else known.push(message);
  }
  const waiting = [...bySession.values()];
  const taken: EventId[] = [];
  const work = async (): Promise<void> => {
    for (let pieces = waiting.shift(); pieces !== undefined; pieces = waiting.shift())
      if (await areTaken(control, outpost, pieces)) taken.push(...pieces.map(({ id }) => id));
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return taken;
}

/** Pieces of one session. */
async function areTaken(control: Control, outpost: Enrolment, pieces: readonly RecordingPiece[]): Promise<boolean> {
  try {
    // Tried again, it writes the same to the same place.
    await transact(control, (tx) => takeOf(tx, control, outpost, pieces));
    return true;
  } catch (error) {
    control.log.error(
      { err: error, outpost: outpost.id, session: pieces[0]?.session },
      "a recording cannot be stored; its outpost keeps it",
    );
    return false;
  }
}

/** What a session's recording came to, as `session.closed` says it: the log holds it, and what comes is compared with it. */
export async function recordingClosed(
  tx: Tx,
  control: Control,
  of: Pick<StoredRecording, "session" | "grant" | "outpost">,
  { pieces, digest, truncated }: NonNullable<SessionClosed["recording"]>,
): Promise<void> {
  const at = toTime(control.clock.now());
  const known = await recordingLocked(tx, of, at);
  if (!belongs(known, of) || known.closed !== undefined) return;
  const closed = { pieces, digest, truncated: truncated === true, at };
  await noteClosed(tx, of.session, closed);
  await compare(tx, control, { ...known, closed });
  control.wake.signal("recordings", tx);
}

async function takeOf(
  tx: Tx,
  control: Control,
  outpost: Enrolment,
  messages: readonly RecordingPiece[],
): Promise<void> {
  const [first] = messages;
  if (first === undefined) return;
  const of = { session: first.session, grant: first.grant, outpost: outpost.id };
  const own = await manyGrantsOf(tx, outpost.id, [of.grant]);
  const known = own.has(of.grant) ? await recordingLocked(tx, of, toTime(control.clock.now())) : undefined;
  if (known === undefined || !belongs(known, of) || messages.some(({ grant }) => grant !== of.grant)) {
    await refuse(tx, control, of, "a piece of a recording that is not the outpost's own");
    return;
  }
  if (known.removedAt !== undefined || known.broken !== undefined) return;
  const fresh: StoredPiece[] = [];
  let progress: RecordingProgress = known;
  let chain = known.chain === undefined ? chainStart(of.session) : fromHex(known.chain);
  for (const { index, bytes: text } of messages) {
    if (index < progress.pieces) continue;
    const bytes = new Uint8Array(Buffer.from(text, "base64url"));
    const why = index > progress.pieces ? "pieces of it are missing" : whyNone(of, index, bytes);
    if (why !== undefined) {
      await breakOff(tx, control, of, why);
      break;
    }
    chain = chained(chain, bytes);
    fresh.push({ index, bytes });
    progress = {
      pieces: index + 1,
      pieceBytes: progress.pieceBytes + bytes.length,
      fileBytes: progress.fileBytes,
      chain: toHex(chain),
    };
  }
  if (fresh.length === 0) return;
  const path = recordingPath(control.settings.recordings.directory, known.month, of.session);
  const fileBytes = await writePieces(path, known.fileBytes, fresh);
  await noteProgress(tx, of.session, { ...progress, fileBytes });
  await compare(tx, control, { ...known, ...progress });
  control.wake.signal("recordings", tx);
}

function belongs(known: StoredRecording, of: Pick<StoredRecording, "grant" | "outpost">): boolean {
  return known.grant === of.grant && known.outpost === of.outpost;
}

/** Why this is not the piece that it is said to be, as far as that shows without keys. */
function whyNone(
  { session, grant }: Pick<StoredRecording, "session" | "grant">,
  index: number,
  bytes: Uint8Array,
): string | undefined {
  const piece = parsePiece(bytes);
  if (piece === undefined || (piece.is === "head") !== (index === 0)) return "a piece of it does not have its form";
  if (piece.is === "head" && (piece.head.session !== session || piece.head.grant !== grant))
    return "it begins as another session's";
  return undefined;
}

/** What came is compared as soon as all of it is there. */
async function compare(tx: Tx, control: Control, known: StoredRecording): Promise<void> {
  const { closed, pieces, chain } = known;
  if (closed === undefined || pieces < closed.pieces) return;
  const digest = chainDigest(chain === undefined ? chainStart(known.session) : fromHex(chain));
  if (pieces === closed.pieces && digest === closed.digest) return;
  await breakOff(tx, control, known, "it is not the one whose digest the log holds");
}

async function breakOff(
  tx: Tx,
  control: Control,
  of: Pick<StoredRecording, "session" | "grant" | "outpost">,
  why: string,
): Promise<void> {
  await noteBroken(tx, of.session, why);
  await refuse(tx, control, of, `a recording: ${why}`);
}

async function refuse(
  tx: Tx,
  control: Control,
  { session, grant, outpost }: Pick<StoredRecording, "session" | "grant" | "outpost">,
  what: string,
): Promise<void> {
  control.log.error({ outpost, session, grant }, what);
  await record(tx, control, { type: "security.refused", ids: { outpost, session, grant }, data: { what } });
}
