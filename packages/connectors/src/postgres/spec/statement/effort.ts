/**
 * What a text will cost the parser at most, told before it is parsed.
 *
 * The parser is C in WASM, and runs on the one thread. A tree that is too deep makes it run out of stack, and each time that happens it loses
 * some of its own memory for good: after thirty such texts it failed on everything, and nobody could say what it would have misread before
 * that. Comments in comments and runs of operator characters cost it the square of their length: 450 KB of the first took 100 s. So such texts
 * must not reach it. This reading of quotes and comments is only an estimate; nothing is judged by it.
 */

/** Levels. The parser fails at 1,900 of the dearest kind (subqueries in parentheses). */
const maxDepth = 600;
/** 100,000 take it a tenth of a second. */
const maxTokens = 100_000;
const maxCommentDepth = 20;

/** A word, a number, a run of operator characters, or one other character. */
const token = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[0-9][\w.]*|(?:(?!--|\/\*)[-+*/<>=~!@#%^&|`?])+|\S/gy;
const blank = /\s+/gy;
const operator = /^[-+*/<>=~!@#%^&|`?]/;
/** What stands between these is flat in the tree, however many there are. */
const flat = new Set(
  "and or when then else ; , select where on using set values group order having limit returning".split(" "),
);
/** These chain, whatever stands between them. */
const chains = new Set(["union", "intersect", "except", "join"]);

interface Level {
  /** `(` and `[` end one another here, which is enough for an estimate; `case` ends with `end` or with what is around it. */
  readonly kind: "text" | "bracket" | "case";
  /** Tokens since the last one that ends a chain. */
  run: number;
  chained: number;
}

/** What a text has too much of, if anything. */
export function excessOf(text: string): "depth" | "tokens" | undefined {
  let tokens = 0;
  const levels: Level[] = [];
  let level: Level = { kind: "text", run: 0, chained: 0 };
  /** Of all levels but the innermost. */
  let outer = 0;
  let before = "";
  const open = (kind: Level["kind"]): void => {
    level.run += 1;
    outer += level.run + level.chained;
    levels.push(level);
    level = { kind, run: 0, chained: 0 };
  };
  const close = (): void => {
    const around = levels.pop();
    if (around === undefined) return;
    level = around;
    outer -= level.run + level.chained;
  };
  for (let at = 0; at < text.length;) {
    const skipped = skip(text, at);
    if (skipped === undefined) return "depth";
    if (skipped > at) {
      if (/["']/.test(text.charAt(skipped - 1))) before = "";
      at = skipped;
      continue;
    }
    token.lastIndex = at;
    const word = token.exec(text)?.[0] ?? text.charAt(at);
    at += word.length;
    tokens += 1;
    const lower = word.length < 10 ? word.toLowerCase() : word;
    // `x.case` and `as end` are names.
    const isName = before === "." || before === "as";
    before = lower;
    if (lower === "(" || lower === "[") open("bracket");
    else if (lower === "case" && !isName) open("case");
    else if (lower === "end" && !isName && level.kind === "case") close();
    else if (lower === ")" || lower === "]") {
      while (level.kind === "case") close();
      if (level.kind === "bracket") close();
    } else if (flat.has(lower) && !isName) {
      level.run = 0;
      if (lower === ";") level.chained = 0;
    } else if (chains.has(lower)) {
      level.run = 0;
      level.chained += 1;
    } else {
      // The lexer may take a run of operator characters as one operator each.
      level.run += operator.test(word) ? word.length : 1;
    }
    if (outer + level.run + level.chained > maxDepth) return "depth";
    if (tokens > maxTokens) return "tokens";
  }
  return undefined;
}

/** Past white space, a comment or a quoted piece that begins here; `at` itself where none does, `undefined` where comments nest too deeply. */
function skip(text: string, at: number): number | undefined {
  const char = text.charAt(at);
  if (char === "'")
    return afterQuote(text, at, /[eE]/.test(text.charAt(at - 1)) && !/[\w$\u0080-\uffff]/.test(text.charAt(at - 2)));
  if (char === '"') return afterQuote(text, at, false);
  if (char === "-" && text.startsWith("--", at)) return lineEnd(text, at);
  if (char === "/" && text.startsWith("/*", at)) return afterComment(text, at);
  if (char === "$") {
    const tag = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;
    tag.lastIndex = at;
    const opening = tag.exec(text)?.[0];
    if (opening === undefined) return at;
    const end = text.indexOf(opening, at + opening.length);
    return end < 0 ? text.length : end + opening.length;
  }
  blank.lastIndex = at;
  return blank.test(text) ? blank.lastIndex : at;
}

function afterQuote(text: string, start: number, escapes: boolean): number {
  const quote = text.charAt(start);
  for (let at = start + 1; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (escapes && char === "\\") at += 1;
    else if (char === quote && text.charAt(at + 1) === quote) at += 1;
    else if (char === quote) return at + 1;
  }
  return text.length;
}

function afterComment(text: string, start: number): number | undefined {
  const edge = /\/\*|\*\//g;
  edge.lastIndex = start;
  let open = 0;
  for (let match = edge.exec(text); match !== null; match = edge.exec(text)) {
    open += match[0] === "/*" ? 1 : -1;
    if (open === 0) return edge.lastIndex;
    if (open > maxCommentDepth) return undefined;
  }
  return text.length;
}

function lineEnd(text: string, start: number): number {
  const edge = /[\n\r]/g;
  edge.lastIndex = start;
  return edge.exec(text)?.index ?? text.length;
}
