/**
 * The bytes inside a recording: what an outpost writes while a session goes on, and whoever may open it reads. A strand is a sequence of records,
 * each a kind, numbers as LEB128, and texts with their length in front; a piece of a recording holds as much of each strand as came together
 * (`piece.ts`). docs/reference/recordings.md says all of it for readers in other languages.
 *
 * The outpost has its own writer (a hot path, made of what its runtime offers); here is the reader, and what both must agree on.
 */

/** Kinds of records in the strand of events. */
export const eventKinds = {
  part: 0,
  action: 1,
  /** As `action`, with a text that the piece has already: its number among the texts of the piece's `action` records. */
  again: 2,
  outcome: 3,
  refused: 4,
  held: 5,
  filed: 6,
  settled: 7,
  moved: 8,
  closed: 9,
} as const;

/** Kinds of records in the strand of values. `part`: bytes that stand before the text of the next record. */
export const valueKinds = { part: 0, parameters: 1, input: 2, output: 3, message: 4 } as const;

export const outcomes = ["done", "failed", "unknown"] as const;
export const verdicts = ["run", "refused", "expired", "withdrawn", "fault"] as const;
export const directions = ["input", "output"] as const;

/** Texts of a piece that `again` can name: the first so many. */
export const maxAgain = 1_000;
