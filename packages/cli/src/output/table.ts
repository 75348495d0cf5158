import { stripVTControlCharacters } from "node:util";

/** Columns as wide as what they hold; the last one is cut where the terminal ends. Control characters never reach the terminal. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], maxWidth: number): string {
  const cells = [head.map((title) => title.toUpperCase()), ...rows.map((row) => row.map(oneLine))];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => width(row[column] ?? ""))));
  return cells
    .map((row) => {
      const line = row.map((cell, column) => (column === row.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - width(cell)))).join("  ");
      return width(line) > maxWidth && line === stripVTControlCharacters(line) ? `${[...line].slice(0, maxWidth - 1).join("")}…` : line;
    })
    .join("\n");
}

/** Text from elsewhere on one line, without what could move the cursor or colour what follows. */
export function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- naming control characters is the purpose; colours are our own
  return text.replace(/[\u0000-\u001a\u001c-\u001f\u007f-\u009f]+/g, " ");
}

function width(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}
