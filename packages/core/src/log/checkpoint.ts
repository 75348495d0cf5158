/**
 * Checkpoints (C2SP tlog-checkpoint): a log's origin, size and root, signed as a note by the log's key. They are what
 * everything else is verified against.
 */
import { fromBase64, toBase64 } from "../lib/base64.ts";
import { ok, refused, type Refused, type Result } from "../lib/result.ts";
import { hashSize, type TreeHead } from "./merkle.ts";
import { openNote, signNote, type NoteRefusal, type NoteSigner, type NoteVerifier } from "./note.ts";

export interface Checkpoint extends TreeHead {
  /** Which log this is: not empty, one line. */
  readonly origin: string;
  /** Further lines, none of them empty. Not auditable through the tree; Cardea writes none. */
  readonly extensions: readonly string[];
}

/** A log as its verifiers pin it. The two belong together: a checkpoint of this origin signed by another key is void. */
export interface LogIdentity {
  readonly origin: string;
  readonly key: NoteVerifier;
}

export type CheckpointRefusal = NoteRefusal | "checkpoint_malformed" | "origin_mismatch";

/** The text that is signed. @throws RangeError where a field cannot be written as a line. */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError("a tree's size is a non-negative integer");
  if (root.length !== hashSize) throw new RangeError("a root has 32 bytes");
  const lines = [origin, String(size), toBase64(root), ...extensions];
  if (lines.some((line) => line === "" || line.includes("\n"))) {
    throw new RangeError("origin and extensions are lines: not empty, without newlines");
  }
  return `${lines.join("\n")}\n`;
}

/** Parses the text of a note as a checkpoint. It says nothing about who signed: use `openCheckpoint` for that. */
export function parseCheckpoint(text: string): Result<Checkpoint, "checkpoint_malformed"> {
  if (!text.endsWith("\n")) return malformed("it does not end in a newline");
  const lines = text.slice(0, -1).split("\n");
  const [origin, sizeText, rootText, ...extensions] = lines;
  if (origin === undefined || sizeText === undefined || rootText === undefined) {
    return malformed("it has fewer than three lines");
  }
  if (lines.includes("")) return malformed("it has an empty line");
  const size = parseCount(sizeText);
  if (size === undefined) return malformed("its size is not a decimal number below 2^53");
  const root = fromBase64(rootText);
  if (root?.length !== hashSize) return malformed("its root is not 32 bytes in base 64");
  return ok({ origin, size, root, extensions });
}

/** A checkpoint as the log publishes it. The signer must be sure that every tile of that size is stored durably. */
export function signCheckpoint(checkpoint: Checkpoint, signer: NoteSigner): string {
  return signNote(formatCheckpoint(checkpoint), [signer]);
}

/** Opens a published checkpoint of one known log; witnesses' and other keys' signatures on it are ignored. */
export function openCheckpoint(note: string | Uint8Array, log: LogIdentity): Result<Checkpoint, CheckpointRefusal> {
  const opened = openNote(note, [log.key]);
  if (!opened.ok) return opened;
  const checkpoint = parseCheckpoint(opened.value.text);
  if (!checkpoint.ok) return checkpoint;
  if (checkpoint.value.origin !== log.origin) {
    return refused(
      "origin_mismatch",
      `the checkpoint is of the log \`${checkpoint.value.origin}\`, not \`${log.origin}\``,
    );
  }
  return checkpoint;
}

/** A decimal number without leading zeroes, or `undefined`; also above 2^53 - 1, where numbers would lose digits. */
export function parseCount(text: string): number | undefined {
  if (!/^(?:0|[1-9]\d{0,15})$/.test(text)) return undefined;
  const count = Number(text);
  return Number.isSafeInteger(count) ? count : undefined;
}

function malformed(what: string): Refused<"checkpoint_malformed"> {
  return refused("checkpoint_malformed", `the checkpoint is malformed: ${what}`);
}
