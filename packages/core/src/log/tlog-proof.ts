/**
 * Proof files (C2SP tlog-proof): one text that shows offline that an entry is in a log, made of the entry's index,
 * its inclusion proof, and the signed checkpoint that the proof leads to.
 */
import { fromBase64, toBase64 } from "../lib/base64.ts";
import { ok, refused, type Refused, type Result } from "../lib/result.ts";
import { openCheckpoint, parseCount, type Checkpoint, type CheckpointRefusal, type LogIdentity } from "./checkpoint.ts";
import { hashSize } from "./merkle.ts";
import { maxNoteBytes } from "./note.ts";
import { verifyInclusion, type InclusionRefusal } from "./proofs.ts";

export interface TlogProof {
  readonly index: number;
  /** From the leaf's sibling up to the root's child. */
  readonly hashes: readonly Uint8Array[];
  /** The signed note, verbatim, with whatever cosignatures it carries. */
  readonly checkpoint: string;
  /** Opaque, and authenticated by nothing. */
  readonly extra?: Uint8Array;
}

/** What a verified proof establishes. */
export interface ProvenEntry {
  readonly index: number;
  readonly checkpoint: Checkpoint;
}

const header = "c2sp.org/tlog-proof@v1";

/** Characters of the longest proof file that is looked at: a note, 63 hashes, and as much again of extra data. */
export const maxProofLength = 2 * maxNoteBytes;

/** The text of a proof file. @throws RangeError where index or a hash cannot be written. */
export function formatProof({ index, hashes, checkpoint, extra }: TlogProof): string {
  if (!Number.isSafeInteger(index) || index < 0) throw new RangeError("an index is a non-negative integer");
  if (hashes.some((hash) => hash.length !== hashSize)) throw new RangeError("a hash has 32 bytes");
  const lines = [
    header,
    ...(extra === undefined ? [] : [`extra ${toBase64(extra)}`]),
    `index ${index}`,
    ...hashes.map(toBase64),
    "",
    checkpoint,
  ];
  return lines.join("\n");
}

/** Parses a proof file. Nothing in it is verified yet. */
export function parseProof(text: string): Result<TlogProof, "proof_malformed"> {
  if (text.length > maxProofLength) return malformed("it is too long");
  const blank = text.indexOf("\n\n");
  if (blank === -1) return malformed("it has no empty line before the checkpoint");
  const [first, ...lines] = text.slice(0, blank).split("\n");
  if (first !== header) return malformed(`it does not begin with \`${header}\``);

  const extra = lines[0]?.startsWith("extra ") === true ? fromBase64(lines[0].slice(6)) : null;
  if (extra === undefined) return malformed("its extra data is not base 64");
  const [indexLine, ...hashLines] = extra === null ? lines : lines.slice(1);
  const index = indexLine?.startsWith("index ") === true ? parseCount(indexLine.slice(6)) : undefined;
  if (index === undefined) return malformed("its index is missing or not a decimal number below 2^53");

  const hashes: Uint8Array[] = [];
  for (const line of hashLines) {
    const hash = fromBase64(line);
    if (hash?.length !== hashSize) return malformed("a hash is not 32 bytes in base 64");
    hashes.push(hash);
  }
  const checkpoint = text.slice(blank + 2);
  return ok({ index, hashes, checkpoint, ...(extra === null ? {} : { extra }) });
}

/** Verifies that the entry with this leaf hash is in the log, offline. */
export function verifyProof(
  proof: TlogProof,
  leafHash: Uint8Array,
  log: LogIdentity,
): Result<ProvenEntry, CheckpointRefusal | InclusionRefusal> {
  const opened = openCheckpoint(proof.checkpoint, log);
  if (!opened.ok) return opened;
  const { size, root } = opened.value;
  const included = verifyInclusion({ leafHash, index: proof.index, size, root }, proof.hashes);
  return included.ok ? ok({ index: proof.index, checkpoint: opened.value }) : included;
}

function malformed(what: string): Refused<"proof_malformed"> {
  return refused("proof_malformed", `the proof file is malformed: ${what}`);
}
