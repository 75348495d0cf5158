/**
 * The documentation as tests read it: which pages there are, their fenced blocks, the rows of their tables, and the commands that they tell
 * people to type. Used by the tests that hold pages equal to the code and by whoever runs the README.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** Of the repository, from the sources and from what is compiled of them. */
export const repositoryRoot = fileURLToPath(
  new URL(import.meta.url.includes("/testing/dist/") ? "../../" : "../", import.meta.url),
);

/** A page by its path from the root, such as `docs/reference/errors.md`. */
export function readPage(path: string): string {
  return readFileSync(join(repositoryRoot, path), "utf8");
}

/** Every page of ours, by its path from the root, sorted. */
export function pagePaths(): readonly string[] {
  const top = readdirSync(repositoryRoot).filter((name) => name.endsWith(".md"));
  const below = readdirSync(join(repositoryRoot, "docs"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".md"))
    .map((entry) => relative(repositoryRoot, join(entry.parentPath, entry.name)));
  return [...top, ...below].sort();
}

/** A fenced block: its language, its text, and the line that it begins in, one-based. */
export interface Block {
  readonly language: string;
  readonly text: string;
  readonly line: number;
}

export function blocksOf(page: string): readonly Block[] {
  return [...page.matchAll(/^```([a-z]*)\n([\s\S]*?)^```$/gm)].map(({ 1: language = "", 2: text = "", index }) => ({
    language,
    text,
    line: page.slice(0, index).split("\n").length + 1,
  }));
}

/** The cells of every table row, headings and rules left out. A `|` inside backticks does not occur in our tables. */
export function rowsOf(page: string): readonly (readonly string[])[] {
  const lines = page.split("\n");
  return lines.flatMap((line, index) => {
    const isRow =
      line.startsWith("|") && !/^\|[\s|:-]+\|$/.test(line) && !/^\|[\s|:-]+\|$/.test(lines[index + 1] ?? "");
    return isRow
      ? [
          line
            .slice(1, -1)
            .split("|")
            .map((cell) => cell.trim()),
        ]
      : [];
  });
}

/** The part of a page from a heading (given with its `#`s) to the next of the same or a higher level. */
export function sectionOf(page: string, heading: string): string {
  const level = heading.indexOf(" ");
  const start = page.indexOf(`\n${heading}\n`);
  if (start < 0) throw new Error(`there is no heading \`${heading}\``);
  const rest = page.slice(start + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${String(level)}} `, "m"));
  return end < 0 ? rest : rest.slice(0, end);
}

/** What stands in backticks; fenced blocks are passed over. */
export function codeIn(text: string): readonly string[] {
  return [...text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
}

/** A line that a reader would type. */
export interface TypedLine {
  readonly text: string;
  readonly line: number;
}

/** The lines of a page's `sh` blocks, in their order. */
export function typedLines(page: string): readonly TypedLine[] {
  return typedBlocks(page)
    .filter(({ into }) => into === "shell")
    .flatMap(({ lines }) => lines);
}

/** Lines that belong together, and where they are typed: into a shell, or into the `psql` that the last line before them opened. */
export interface TypedBlock {
  readonly into: "shell" | "psql";
  readonly lines: readonly TypedLine[];
}

/** A page's `sh` and `sql` blocks, in their order. */
export function typedBlocks(page: string): readonly TypedBlock[] {
  return blocksOf(page)
    .filter(({ language }) => language === "sh" || language === "sql")
    .map(({ language, text, line }) => ({
      into: language === "sh" ? "shell" : "psql",
      lines: text
        .split("\n")
        .map((typed, index) => ({ text: typed.trim(), line: line + index }))
        .filter((typed) => typed.text !== "" && !typed.text.startsWith("#")),
    }));
}

/** The arguments of each `cardea …` in a typed line, as the shell would give them: quotes taken off, redirections and comments left out. */
export function cardeaCommands(text: string): readonly (readonly string[])[] {
  return [...text.matchAll(/(?:^|\$\(|\s)(?:npx )?cardea (?<rest>.*)/g)].map(({ groups }) =>
    wordsOf(groups?.["rest"] ?? ""),
  );
}

function wordsOf(text: string): readonly string[] {
  const words: string[] = [];
  for (const [, double, single, plain] of text.matchAll(/"([^"]*)"|'([^']*)'|([^\s"']+)/g)) {
    if (plain !== undefined && /^[#<>|;&]/.test(plain)) break;
    const closed = plain?.endsWith(")") === true;
    words.push(double ?? single ?? (closed ? plain.slice(0, -1) : (plain ?? "")));
    if (closed) break;
  }
  return words;
}
