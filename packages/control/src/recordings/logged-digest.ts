import { z } from "zod";
import { AuditLeaf, opensCommitment } from "@cardea/core/documents/audit-leaf";
import { SessionClosed } from "@cardea/core/wire/session-events";
import type { Control } from "../control.ts";
import { manyEntries } from "../store/log.ts";
import type { StoredRecording } from "../store/recordings.ts";

const Closing = z.object({ recording: SessionClosed.shape.recording });

/**
 * What the log says that the recording comes to: whoever can write the database can change the row that counts its pieces, and nobody an entry
 * unnoticed. `undefined` while its `session.closed` is not logged, or where what stood beside the entry was erased.
 */
export async function loggedDigest(
  { db }: Pick<Control, "db">,
  { session, grant, outpost }: Pick<StoredRecording, "session" | "grant" | "outpost">,
): Promise<{ readonly digest: string | undefined } | undefined> {
  const entries = await manyEntries(db, { type: "session.closed", id: session, order: "asc", limit: 20 });
  for (const { leaf: text, salt, data } of entries) {
    const leaf = AuditLeaf.parse(JSON.parse(text));
    if (leaf.ids["grant"] !== grant || leaf.ids["outpost"] !== outpost) continue;
    if (salt === undefined || data === undefined) return undefined;
    const beside: unknown = JSON.parse(data);
    const closing = opensCommitment(leaf, salt, beside) ? Closing.safeParse(beside) : undefined;
    return { digest: closing?.data?.recording?.digest };
  }
  return undefined;
}
