import { cut, oneLine, width } from "./clean.ts";

/** Columns as wide as what they hold; a line is cut where the terminal ends. Cells are put on one line each. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], maxWidth: number): string {
  const cells = [head.map((title) => title.toUpperCase()), ...rows.map((row) => row.map(oneLine))];
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

/** `name  words` lines, each on one line of its own, whatever people wrote. */
export function fields(lines: readonly (readonly [name: string, words: string])[]): string {
  const indent = Math.max(...lines.map(([name]) => name.length)) + 2;
  return lines.map(([name, words]) => `${name.padEnd(indent)}${oneLine(words)}`.trimEnd()).join("\n");
}
