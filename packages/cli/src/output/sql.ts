/**
 * A statement as people read it before they approve it: the same words in the same order, broken into lines by sense, every line marked, so
 * that nothing in the text can look like a line of ours or hide beyond the edge of the terminal. The exact bytes are in `--json`.
 */
import type { Style } from "./clean.ts";
import { width } from "./clean.ts";

type Paint = (style: Style, text: string) => string;

interface Token {
  readonly is: "space" | "word" | "text" | "comment" | "other";
  readonly text: string;
}

/** Statements that are longer than this are broken before each clause; shorter ones stay as they are. */
const longLine = 72;

/** What begins a clause (or a branch of one) and so begins a line. */
const clauses = new Set(
  "from where set values group having window order limit offset fetch returning union intersect except on using join left right inner cross full when for add drop alter".split(
    " ",
  ),
);
/** What may stand before `join`, or is the second word of a clause: no new line of its own. */
const joined: Readonly<Record<string, readonly string[]>> = {
  join: ["left", "right", "inner", "outer", "cross", "full", "natural"],
  set: ["do", "update"],
  on: ["distinct"],
  from: ["delete", "distinct"],
};

const keywords = new Set(
  "select insert update delete merge truncate copy call create alter drop grant revoke table view index into from where set values group by having order limit offset returning union intersect except with as on using join left right inner outer cross full and or not null is in exists between like distinct all any case when then else end begin commit rollback cascade restrict only conflict do nothing matched for share default add column constraint references primary key unique check function procedure trigger schema sequence type extension rename to owner".split(
    " ",
  ),
);

interface Reader {
  readonly is: Token["is"];
  readonly begin: RegExp;
  /** Where the token ends, that begins at `at` with `mark`. */
  readonly end: (text: string, at: number, mark: string) => number;
}

const asMatched: Reader["end"] = (_, at, mark) => at + mark.length;

/** The first that fits reads on. Quotes, dollar quotes and comments are read as PostgreSQL reads them; what is not closed goes to the end. */
const readers: readonly Reader[] = [
  { is: "space", begin: /\s+/y, end: asMatched },
  { is: "comment", begin: /--[^\n]*/y, end: asMatched },
  { is: "comment", begin: /\/\*/y, end: endOfComment },
  { is: "text", begin: /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y, end: endOfDollars },
  { is: "text", begin: /[eE]'/y, end: (text, at) => endOfQuote(text, at + 1, "'", true) },
  { is: "text", begin: /'/y, end: (text, at) => endOfQuote(text, at, "'", false) },
  { is: "other", begin: /"/y, end: (text, at) => endOfQuote(text, at, '"', false) },
  { is: "word", begin: /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y, end: asMatched },
  { is: "other", begin: /[\s\S]/y, end: asMatched },
];

/**
 * Lines for a terminal of so many columns; each fits.
 * @param paint styles keywords, texts and comments
 */
export function statementLines(sql: string, columns: number, paint: Paint): readonly string[] {
  // Nothing of it may style anything, and a tab has no width of its own.
  const text = sql.replaceAll("\u001b", "\ufffd").replaceAll("\t", "  ").replace(/\r\n?/g, "\n").trim();
  const tokens = tokensOf(text);
  const broken = text.includes("\n") || width(text) <= longLine ? tokens : breakClauses(tokens);
  return wrap(broken, Math.max(20, columns), paint);
}

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length;) {
    const { is, end } = tokenAt(text, at);
    tokens.push({ is, text: text.slice(at, end) });
    at = end;
  }
  return tokens;
}

function tokenAt(text: string, at: number): { readonly is: Token["is"]; readonly end: number } {
  for (const { is, begin, end } of readers) {
    begin.lastIndex = at;
    const mark = begin.exec(text)?.[0];
    if (mark !== undefined) return { is, end: end(text, at, mark) };
  }
  throw new TypeError("some reader takes any character");
}

function endOfDollars(text: string, at: number, mark: string): number {
  const found = text.indexOf(mark, at + mark.length);
  return found < 0 ? text.length : found + mark.length;
}

function endOfQuote(text: string, begin: number, quote: string, escapes: boolean): number {
  for (let at = begin + 1; at < text.length; at++) {
    if (escapes && text[at] === "\\") at += 1;
    else if (text[at] === quote && text[at + 1] === quote) at += 1;
    else if (text[at] === quote) return at + 1;
  }
  return text.length;
}

/** Comments nest. */
function endOfComment(text: string, begin: number): number {
  let depth = 0;
  for (let at = begin; at < text.length; at++) {
    const two = text.slice(at, at + 2);
    if (two === "/*") depth += 1;
    if (two === "*/") depth -= 1;
    if (two === "/*" || two === "*/") at += 1;
    if (depth === 0) return at + 1;
  }
  return text.length;
}

/** Turns the space before each clause outside brackets into a line break. */
function breakClauses(tokens: readonly Token[]): readonly Token[] {
  let depth = 0;
  let before = "";
  return tokens.map((token, index) => {
    if (token.text === "(") depth += 1;
    if (token.text === ")") depth -= 1;
    const next = tokens[index + 1];
    const word = next?.is === "word" ? next.text.toLowerCase() : "";
    const breaks = token.is === "space" && depth === 0 && clauses.has(word) && joined[word]?.includes(before) !== true;
    if (token.is === "word") before = token.text.toLowerCase();
    return breaks ? { is: "space", text: "\n" } : token;
  });
}

function wrap(tokens: readonly Token[], columns: number, paint: Paint): readonly string[] {
  const lines: string[] = [];
  let [line, used] = ["", 0];
  const endLine = () => {
    lines.push(line);
    [line, used] = ["", 0];
  };
  for (const token of tokens) {
    for (const [index, part] of token.text.split("\n").entries()) {
      if (index > 0) endLine();
      // A word that fits on a line of its own is not torn.
      if (used > 0 && used + width(part) > columns && width(part) <= columns) endLine();
      if (token.is === "space" && used === 0 && index === 0) continue;
      for (const piece of pieces(part, columns, () => columns - used)) {
        if (used > 0 && used + width(piece) > columns) endLine();
        line += styled(token, piece, paint);
        used += width(piece);
      }
    }
  }
  if (line !== "") endLine();
  return lines;
}

/** The text in pieces, the first as wide as what is left of the line, the others as wide as a line. */
function* pieces(text: string, columns: number, left: () => number): Generator<string> {
  let piece = "";
  let room = width(text) <= left() ? Number.POSITIVE_INFINITY : Math.max(1, left());
  for (const char of text) {
    if (width(piece + char) > room) {
      yield piece;
      piece = "";
      room = columns;
    }
    piece += char;
  }
  if (piece !== "") yield piece;
}

function styled(token: Token, piece: string, paint: Paint): string {
  switch (token.is) {
    case "word":
      return keywords.has(token.text.toLowerCase()) ? paint("bold", piece) : piece;
    case "text":
      return paint("green", piece);
    case "comment":
      return paint("gray", piece);
    case "space":
    case "other":
      return piece;
  }
}
