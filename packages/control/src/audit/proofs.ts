/** Proofs out of the log for those who verify: outposts, evidence files. Made from the stored tiles; worthless unless those are right. */
import { toBase64Url } from "@cardea/core/lib/base64url";
import { AuditLeaf } from "@cardea/core/documents/audit-leaf";
import type { LogProof } from "@cardea/core/documents/evidence";
import type { Checkpoint } from "@cardea/core/log/checkpoint";
import { hashReaderOver, readConsistencyProof, readInclusionProof } from "@cardea/core/log/tile-source";
import type { Control } from "../control.ts";
import { maybeOneLogHead, type StoredEntry } from "../store/log.ts";
import { logGuard, rolledBack } from "./guard.ts";
import { tileFetcher } from "./tile.ts";

/** A head that the guard believes. */
export interface CurrentHead {
  /** The signed note. */
  readonly note: string;
  readonly checkpoint: Checkpoint;
}

/** The newest head; `undefined` while the log has no entries. @throws CardeaError `log_rolled_back` where it is older than one believed before */
export async function currentHead(control: Control): Promise<CurrentHead | undefined> {
  const guard = await logGuard(control);
  const floor = guard.highest;
  const head = await maybeOneLogHead(control.db);
  const opened = guard.accept(head, floor);
  return head === undefined || opened === undefined ? undefined : { note: head.checkpoint, checkpoint: opened };
}

/** The way from one entry up to a head; `undefined` where the head does not cover it, or once its data was erased. */
export async function proveEntry(
  control: Control,
  head: CurrentHead,
  entry: StoredEntry,
): Promise<LogProof | undefined> {
  if (entry.salt === undefined || entry.data === undefined || entry.index >= head.checkpoint.size) return undefined;
  const read = hashReaderOver(tileFetcher(control), head.checkpoint.size);
  const path = await readInclusionProof(read, entry.index, head.checkpoint.size);
  if (!path.ok) throw rolledBack(path.detail);
  return {
    leaf: AuditLeaf.parse(JSON.parse(entry.leaf)),
    // The commitment in the leaf says whether it is what was logged; whoever relies on it checks.
    data: JSON.parse(entry.data) as LogProof["data"],
    salt: entry.salt,
    index: entry.index,
    path: path.value.map(toBase64Url),
  };
}

/** Proves a head a continuation of an older size, for an outpost that has seen that one. */
export async function proveGrowth(control: Control, head: CurrentHead, from: number): Promise<string[] | undefined> {
  if (from < 0 || from > head.checkpoint.size) return undefined;
  const proof = await readConsistencyProof(
    hashReaderOver(tileFetcher(control), head.checkpoint.size),
    from,
    head.checkpoint.size,
  );
  if (!proof.ok) throw rolledBack(proof.detail);
  return proof.value.map(toBase64Url);
}
