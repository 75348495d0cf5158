import type { SessionId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import { record } from "../audit/record.ts";
import type { Control } from "../control.ts";
import { manyOldRecordings, maybeOneRecording, noteRemoved } from "../store/recordings.ts";
import { transact } from "../store/transaction.ts";
import { recordingPath, removeRecordingFile } from "./files.ts";

/** Recordings that were kept for as long as the settings say. */
export function oldRecordings({ db, clock, settings }: Control, limit: number): Promise<SessionId[]> {
  return manyOldRecordings(db, toTime(clock.now() - settings.recordings.keepMs), limit);
}

/** Removes what was recorded of a session; that it was recorded, and what it came to, stays in the log. */
export async function removeRecording(control: Control, id: SessionId): Promise<void> {
  const recording = await maybeOneRecording(control.db, id);
  if (recording === undefined || recording.removedAt !== undefined) return;
  // First the file: a row that says that it is gone must be true.
  await removeRecordingFile(recordingPath(control.settings.recordings.directory, recording.month, id));
  await transact(control, async (tx) => {
    if (!(await noteRemoved(tx, id, toTime(control.clock.now())))) return;
    const { grant, outpost } = recording;
    await record(tx, control, { type: "recording.removed", ids: { session: id, grant, outpost }, data: {} });
  });
}
