/** What an action answered, as people read it: rows as a table, then the command's own words, such as `UPDATE 1`. */
import { CardeaError } from "@cardea/core/contract/errors";
import { z } from "zod";
import { columnsOf } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** The answer of a statement, as the outpost sealed it. */
const Answer = z.object({
  columns: z.array(z.object({ name: z.string(), type: z.string() })),
  rows: z.array(z.array(z.string().nullable())),
  command: z.string(),
});
export type Answer = z.infer<typeof Answer>;

/** @throws CardeaError `internal` where it is of a form that this version does not know */
export function readAnswer(text: string): Answer {
  try {
    return Answer.parse(JSON.parse(text));
  } catch (cause) {
    throw new CardeaError("internal", "the answer has a form that this version of `cardea` does not know", { cause });
  }
}

export function answerWords({ columns, rows, command }: Answer, terminal: Terminal): string {
  if (columns.length === 0) return command;
  const cells = rows.map((row) => row.map((value) => value ?? terminal.style("gray", "null")));
  const head = columns.map(({ name }) => terminal.style("bold", name));
  const shown = columnsOf([head, ...cells], terminal.columns);
  const counted = `(${rows.length} ${rows.length === 1 ? "row" : "rows"})`;
  // A query's own words only count its rows.
  return [shown, counted, ...(command.startsWith("SELECT ") ? [] : [command])].join("\n");
}
