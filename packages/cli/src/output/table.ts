import { cut, oneLine, width, wrap } from "./clean.ts";

/** Columns under titles in capitals, as wide as what they hold; a line is cut where the terminal ends. Cells are put on one line each. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], maxWidth: number): string {
  return columnsOf([head.map((title) => title.toUpperCase()), ...rows], maxWidth);
}

/** The same for titles that are somebody's own names. */
export function columnsOf(rows: readonly (readonly string[])[], maxWidth: number): string {
  const cells = rows.map((row) => row.map(oneLine));
  const [head = []] = cells;
  const widths = head.map((_, column) => Math.max(...cells.map((row) => width(row[column] ?? ""))));
  return cells
    .map((row) => {
      const line = row
        .map((cell, column) =>
          column === row.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - width(cell)),
        )
        .join("  ");
      return cut(line.trimEnd(), maxWidth);
    })
    .join("\n");
}

/**
 * `name  words` lines, whatever people wrote: each on a line of its own, and where it does not fit on several, none of which begins where a
 * name would stand.
 */
export function fields(
  lines: readonly (readonly [name: string, words: string])[],
  maxWidth: number = Number.POSITIVE_INFINITY,
): string {
  const indent = Math.max(...lines.map(([name]) => name.length)) + 2;
  return lines
    .flatMap(([name, words]) =>
      wrap(oneLine(words), Math.max(20, maxWidth - indent)).map((line, index) =>
        `${(index === 0 ? name : "").padEnd(indent)}${line}`.trimEnd(),
      ),
    )
    .join("\n");
}
