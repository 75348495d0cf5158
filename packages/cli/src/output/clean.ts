/**
 * Keeps what other people wrote from driving the terminal. Everything that is printed passes through here once: control and
 * bidirectional characters become a visible mark, and of escape sequences only the few that `Terminal.style` writes are left.
 */

/** The styles in use, as the parameters of SGR (ECMA-48, section 8.3.117): on, off. */
export const styles = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  gray: [90, 39],
} as const;
export type Style = keyof typeof styles;

const own = String.raw`\u001b\[(?:1|2|22|31|32|33|39|90)m`;
const hidden = String.raw`[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]`;
const sequence = new RegExp(own, "g");
const unsafe = new RegExp(`${own}|${hidden}`, "g");

/** Text of several lines, safe to print; line breaks and tabs stay. */
export function clean(text: string): string {
  return text.replace(unsafe, (found) => (found.length > 1 || found === "\n" || found === "\t" ? found : "\ufffd"));
}

/** Text on one line, safe to print: nobody's words can look like a line of ours. */
export function oneLine(text: string): string {
  return clean(text.replace(/\s*[\r\n]\s*/g, " ").replaceAll("\t", " "));
}

/** JSON text whose strings hold nothing that a terminal would act on; the same document still. */
export function cleanJson(json: string): string {
  // Only strings can hold such characters, and there every character may be written by its code.
  return json.replace(
    /[\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Columns that a terminal gives to text: none for styles and combining marks, two for wide characters. */
export function width(text: string): number {
  let columns = 0;
  for (const char of text.replace(sequence, "")) columns += charWidth(char);
  return columns;
}

/** As much of one line as fits, with `…` where something is left out; styles are closed. */
export function cut(line: string, maxWidth: number): string {
  if (width(line) <= maxWidth) return line;
  let [kept, columns, styled] = ["", 0, false];
  for (const part of line.split(new RegExp(`(${own})`))) {
    if (part.startsWith("\u001b")) {
      kept += part;
      styled = true;
      continue;
    }
    for (const char of part) {
      if (columns + charWidth(char) > maxWidth - 1) return `${kept}…${styled ? "\u001b[22m\u001b[39m" : ""}`;
      kept += char;
      columns += charWidth(char);
    }
  }
  return kept;
}

/** A line in pieces that fit, broken between words where there are any; styles go on over a break. */
export function wrap(line: string, maxWidth: number): readonly string[] {
  if (width(line) <= maxWidth) return [line];
  const lines: string[] = [];
  let [kept, columns] = ["", 0];
  for (const part of line.split(new RegExp(`(${own}|[^ \\u001b]+| +)`))) {
    if (part.startsWith("\u001b")) {
      kept += part;
      continue;
    }
    if (columns > 0 && columns + width(part) > maxWidth && width(part) <= maxWidth) {
      lines.push(kept.trimEnd());
      [kept, columns] = ["", 0];
      if (part.startsWith(" ")) continue;
    }
    for (const char of part) {
      if (columns + charWidth(char) > maxWidth) {
        lines.push(kept);
        [kept, columns] = ["", 0];
      }
      kept += char;
      columns += charWidth(char);
    }
  }
  return [...lines, kept];
}

const combining = /^[\p{Mn}\p{Me}\u200b-\u200f\u2060\ufe00-\ufe0f]$/u;
// East Asian wide and fullwidth blocks and emoji (UAX 11), as terminals draw them.
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

function charWidth(char: string): number {
  if (char < "\u0300") return 1;
  if (combining.test(char)) return 0;
  return wide.test(char) ? 2 : 1;
}
