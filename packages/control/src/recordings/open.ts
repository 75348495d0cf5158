/** Opens the pieces of a stored recording: checked against the digest of the log where that is known, each decrypted in its place, decoded. */
import { promisify } from "node:util";
import { inflateRaw } from "node:zlib";
import { CardeaError } from "@cardea/core/contract/errors";
import type { SessionId } from "@cardea/core/contract/ids";
import { timeMs } from "@cardea/core/documents/primitives";
import { openAes256Gcm } from "@cardea/core/lib/crypto";
import {
  chainDigest,
  chained,
  chainStart,
  maxSectionBytes,
  parsePiece,
  sectionContext,
  sectionForms,
  sectionNonce,
  type RecordingHead,
  type Strand,
} from "@cardea/core/recording/piece";
import { interleave, type RecordedEvent, type RecordedValue } from "@cardea/core/recording/recorded-event";
import { StrandError, StrandReader } from "@cardea/core/recording/strand-reader";
import type { Control } from "../control.ts";
import { Recent } from "../store/recent.ts";
import type { StoredRecording } from "../store/recordings.ts";
import { RecordingFile, recordingPath, type FilePiece } from "./files.ts";
import { loggedDigest } from "./logged-digest.ts";
import { openStrandKey } from "./recording-key.ts";

const inflate = promisify(inflateRaw);

/** One answer ends behind the piece with which it exceeds this, expanded. */
const answerBytes = 512 * 1024;
/** A text that goes over pieces keeps an answer open for no longer than this. */
const mostBytes = 4 * answerBytes;

export interface OpenedPart {
  readonly head: RecordingHead;
  readonly events: (RecordedEvent | RecordedValue)[];
  /** Where the next part begins. */
  readonly next: number;
}

export interface Wanted {
  /** A place in the file; 0 is the beginning. */
  readonly from: number;
  readonly values: boolean;
}

/** @throws CardeaError `recording_broken`, `recording_unavailable` where it is sealed to another recording key, or its file is gone */
export async function openRecording(
  control: Control,
  recording: StoredRecording,
  { from, values }: Wanted,
): Promise<OpenedPart> {
  const { session } = recording;
  const file = await openFile(control, recording);
  try {
    await verify(control, file, recording, from);
    const first = await firstPiece(file, recording);
    const begin = from === 0 ? first.end : from;
    const keys = {
      events: await strandKey(control, first.head, session, "events"),
      ...(values && { values: await strandKey(control, first.head, session, "values") }),
    };
    return { head: first.head, ...(await openFrom(file, session, begin, keys)) };
  } finally {
    await file.close();
  }
}

interface StrandKeys {
  readonly events: Uint8Array;
  readonly values?: Uint8Array;
}

async function openFrom(
  file: RecordingFile,
  session: SessionId,
  begin: number,
  keys: StrandKeys,
): Promise<Omit<OpenedPart, "head">> {
  const readers = { events: new StrandReader(), values: new StrandReader() };
  const out: (RecordedEvent | RecordedValue)[] = [];
  let [next, expanded] = [begin, 0];
  let before: number | undefined;
  for await (const piece of file.pieces(begin)) {
    if (before !== undefined && piece.index !== before + 1) throw broken(session, "a piece of it is missing");
    before = piece.index;
    const sections = strandsOf(piece, session);
    const [events, values] = await Promise.all([
      section(keys.events, session, "events", piece.index, sections.events),
      keys.values === undefined
        ? new Uint8Array(0)
        : section(keys.values, session, "values", piece.index, sections.values),
    ]);
    try {
      out.push(...interleave(readers.events.events(events), readers.values.values(values)));
    } catch (error) {
      if (error instanceof StrandError) throw broken(session, `piece ${String(piece.index)} does not have its form`);
      throw error;
    }
    next = piece.end;
    expanded += events.length + values.length;
    const unfinished = readers.events.unfinished || readers.values.unfinished;
    if (expanded > (unfinished ? mostBytes : answerBytes)) break;
  }
  return { events: out, next };
}

/**
 * Whether all of it is here, and is what the log holds the digest of; not yet, where its end is not logged yet.
 * @throws CardeaError `recording_broken`, `recording_unavailable`
 */
export async function isWhole(control: Control, recording: StoredRecording): Promise<boolean> {
  const { closed, pieces } = recording;
  if (closed === undefined || pieces < closed.pieces) return false;
  const file = await openFile(control, recording);
  try {
    return await verify(control, file, recording, 0);
  } finally {
    await file.close();
  }
}

async function openFile(control: Control, { session, month, fileBytes }: StoredRecording): Promise<RecordingFile> {
  const path = recordingPath(control.settings.recordings.directory, month, session);
  return await RecordingFile.open(path, fileBytes).catch((cause: unknown) => {
    throw new CardeaError("recording_unavailable", `the file of the recording of \`${session}\` is not there`, {
      cause,
    });
  });
}

/** Files that were looked at whole, by what they were like then. */
const verified = new WeakMap<Control, Recent<SessionId, string>>();
const maxVerified = 1_000;
/** So long after its end was told a recording may not be in the log yet. */
const loggingMs = 60_000;

/**
 * All of it against the digest that the log holds; while the session goes on, against what came, where somebody begins to read. A file that was not
 * touched since is not read again for every answer. Answers whether the log holds its digest.
 */
async function verify(
  control: Control,
  file: RecordingFile,
  recording: StoredRecording,
  from: number,
): Promise<boolean> {
  const { session, pieces, closed } = recording;
  if (closed === undefined || pieces < closed.pieces) {
    if (from === 0) await compareChain(file, recording, `sha256:${recording.chain ?? ""}`);
    return false;
  }
  const seen = verified.get(control) ?? new Recent<SessionId, string>(maxVerified);
  verified.set(control, seen);
  // What was found whole is the file together with all that the row says of it.
  const { grant, outpost, fileBytes } = recording;
  const mark = [await file.mark(), grant, outpost, pieces, fileBytes, closed.digest].join(" ");
  if (seen.get(session) === mark) return true;
  const logged = await loggedDigest(control, recording);
  if (logged === undefined && Math.abs(control.clock.now() - timeMs(closed.at)) > loggingMs)
    throw broken(session, "what the log says of it cannot be found");
  if (logged !== undefined && logged.digest !== closed.digest)
    throw broken(session, "it is not the one whose digest the log holds");
  await compareChain(file, recording, closed.digest);
  // Before it is logged, it is looked at again.
  if (logged !== undefined) seen.set(session, mark);
  return logged !== undefined;
}

async function compareChain(
  file: RecordingFile,
  { session, pieces }: StoredRecording,
  expected: string,
): Promise<void> {
  let chain = chainStart(session);
  let count = 0;
  for await (const piece of file.pieces(0)) {
    if (piece.index !== count) throw broken(session, "its pieces are not in their order");
    chain = chained(chain, piece.bytes);
    count++;
  }
  if (count !== pieces || chainDigest(chain) !== expected) throw broken(session, "its file was changed");
}

async function firstPiece(
  file: RecordingFile,
  { session, grant }: StoredRecording,
): Promise<{ readonly head: RecordingHead; readonly end: number }> {
  for await (const piece of file.pieces(0)) {
    const parsed = parsePiece(piece.bytes);
    if (parsed?.is === "head" && parsed.head.session === session && parsed.head.grant === grant)
      return { head: parsed.head, end: piece.end };
    break;
  }
  throw broken(session, "it does not begin as this session's");
}

function strandsOf({ bytes, index }: FilePiece, session: SessionId): { events: Uint8Array; values: Uint8Array } {
  const parsed = parsePiece(bytes);
  if (parsed?.is !== "strands") throw broken(session, `piece ${String(index)} does not have its form`);
  return parsed;
}

async function strandKey(
  control: Control,
  head: RecordingHead,
  session: SessionId,
  strand: Strand,
): Promise<Uint8Array> {
  const own = control.keys.recording;
  if (head.recordingKey !== own.name)
    throw new CardeaError(
      "recording_unavailable",
      `the recording of \`${session}\` is sealed to the recording key \`${head.recordingKey}\`, and this installation has \`${own.name}\`; restore that key's file`,
    );
  const key = await openStrandKey(own, head, strand);
  if (key === undefined) throw broken(session, "its keys are not its own");
  return key;
}

async function section(
  key: Uint8Array,
  session: SessionId,
  strand: Strand,
  index: number,
  sealed: Uint8Array,
): Promise<Uint8Array> {
  if (sealed.length === 0) return sealed;
  const plaintext = openAes256Gcm(key, sectionNonce(strand, index), sectionContext(session, strand, index), sealed);
  const form = plaintext?.[0];
  if (plaintext === undefined || (form !== sectionForms.stored && form !== sectionForms.deflated))
    throw broken(session, `piece ${String(index)} was changed`);
  const bytes = plaintext.subarray(1);
  if (form === sectionForms.stored) return bytes;
  return await inflate(bytes, { maxOutputLength: maxSectionBytes }).catch((cause: unknown) => {
    throw broken(session, `piece ${String(index)} cannot be expanded`, cause);
  });
}

function broken(session: SessionId, why: string, cause?: unknown): CardeaError {
  return new CardeaError("recording_broken", `the recording of \`${session}\` cannot be relied on: ${why}`, { cause });
}
