/** Reads the expressions that `linear-regex.ts` runs, and says where one is wrong. Called by that file alone. */

const maxDepth = 100;

export type Range = readonly [from: number, to: number];
/** An expression as read: one character, a place, a sequence, alternatives, repetition. */
export type RegexNode =
  | { readonly kind: "one"; readonly ranges: readonly Range[] }
  | { readonly kind: "assert"; readonly what: "start" | "end" | "word" | "notWord" }
  | { readonly kind: "all"; readonly parts: readonly RegexNode[] }
  | { readonly kind: "any"; readonly parts: readonly RegexNode[] }
  | { readonly kind: "repeat"; readonly body: RegexNode; readonly min: number; readonly max: number };

const lastCodePoint = 0x10ffff;
const digits: readonly Range[] = [[48, 57]];
/** What `\w` is, and what `\b` stands beside. */
export const wordCharacters: readonly Range[] = [
  [48, 57],
  [65, 90],
  [95, 95],
  [97, 122],
];
const spaces: readonly Range[] = [
  [9, 13],
  [32, 32],
];
const classes: Readonly<Record<string, readonly Range[]>> = {
  d: digits,
  D: complement(digits),
  w: wordCharacters,
  W: complement(wordCharacters),
  s: spaces,
  S: complement(spaces),
};
const controls: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11 };

/** What is wrong with an expression, in words. */
export class RegexProblem extends Error {}

/** Reads an expression. @throws RegexProblem where it is wrong or uses what is not supported. */
export function parseRegex(source: string): RegexNode {
  return new Parser(source).parse();
}

class Parser {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#characters = Array.from(source);
  }

  parse(): RegexNode {
    const node = this.#alternatives();
    if (this.#at < this.#characters.length) throw this.#problem("a `)` without its `(`");
    return node;
  }

  #problem(words: string): RegexProblem {
    return new RegexProblem(`${words} at character ${String(this.#at + 1)}`);
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(expected: string): boolean {
    if (this.#peek() !== expected) return false;
    this.#at++;
    return true;
  }

  #alternatives(): RegexNode {
    if (++this.#depth > maxDepth) throw this.#problem("groups nested too deeply");
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    this.#depth--;
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : { kind: "any", parts };
  }

  #sequence(): RegexNode {
    const parts: RegexNode[] = [];
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")"; next = this.#peek()) {
      parts.push(this.#quantified());
    }
    return { kind: "all", parts };
  }

  #quantified(): RegexNode {
    const body = this.#atom();
    const bounds = this.#bounds();
    if (bounds === undefined) return body;
    if (body.kind === "assert") throw this.#problem("nothing to repeat before a quantifier");
    this.#take("?");
    const next = this.#peek();
    if (next === "*" || next === "+" || next === "?") throw this.#problem("a quantifier after a quantifier");
    return { kind: "repeat", body, ...bounds };
  }

  #bounds(): { min: number; max: number } | undefined {
    if (this.#take("*")) return { min: 0, max: Infinity };
    if (this.#take("+")) return { min: 1, max: Infinity };
    if (this.#take("?")) return { min: 0, max: 1 };
    if (this.#peek() !== "{") return undefined;
    const match = /^\{([0-9]{1,4})(,([0-9]{1,4})?)?\}/.exec(this.#characters.slice(this.#at, this.#at + 12).join(""));
    if (match === null) throw this.#problem("a `{` that is no quantifier, write `\\{` for the character");
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === undefined ? Infinity : Number(match[3]);
    if (max < min) throw this.#problem("a quantifier whose end is before its beginning");
    this.#at += match[0].length;
    return { min, max };
  }

  #atom(): RegexNode {
    const character = this.#peek();
    if (character === undefined) throw this.#problem("an unfinished expression");
    this.#at++;
    switch (character) {
      case ".":
        return { kind: "one", ranges: complement([[10, 10]]) };
      case "^":
        return { kind: "assert", what: "start" };
      case "$":
        return { kind: "assert", what: "end" };
      case "(":
        return this.#group();
      case "[":
        return { kind: "one", ranges: this.#class() };
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
      case "{":
        this.#at--;
        throw this.#problem("nothing to repeat before a quantifier");
      default:
        return single(character);
    }
  }

  #group(): RegexNode {
    if (this.#take("?") && !this.#take(":"))
      throw this.#problem("look-around, flags and named groups are not supported");
    const node = this.#alternatives();
    if (!this.#take(")")) throw this.#problem("a `(` without its `)`");
    return node;
  }

  #escape(): RegexNode {
    const character = this.#peek();
    if (character === "b" || character === "B") {
      this.#at++;
      return { kind: "assert", what: character === "b" ? "word" : "notWord" };
    }
    return { kind: "one", ranges: this.#escapedRanges() };
  }

  #escapedRanges(): readonly Range[] {
    const character = this.#peek();
    if (character === undefined) throw this.#problem("an unfinished escape");
    this.#at++;
    const named = Object.hasOwn(classes, character) ? classes[character] : undefined;
    if (named !== undefined) return named;
    const control = Object.hasOwn(controls, character) ? controls[character] : undefined;
    if (control !== undefined) return [[control, control]];
    if (/[0-9A-Za-z]/.test(character)) {
      this.#at--;
      throw this.#problem(`the escape \`\\${character}\` is not supported`);
    }
    return rangesOf(character);
  }

  #class(): readonly Range[] {
    const negated = this.#take("^");
    const ranges: Range[] = [];
    do {
      const from = this.#classItem();
      const [first] = from;
      if (
        from.length === 1 &&
        first !== undefined &&
        first[0] === first[1] &&
        this.#peek() === "-" &&
        this.#characters[this.#at + 1] !== "]"
      ) {
        this.#at++;
        const [end, more] = this.#classItem();
        if (end === undefined || more !== undefined || end[0] !== end[1] || end[0] < first[0])
          throw this.#problem("a range whose end is before its beginning");
        ranges.push([first[0], end[0]]);
      } else {
        ranges.push(...from);
      }
    } while (!this.#take("]"));
    return negated ? complement(ranges) : ranges;
  }

  #classItem(): readonly Range[] {
    const character = this.#peek();
    if (character === undefined) throw this.#problem("a `[` without its `]`");
    if (character === "]") throw this.#problem("an empty class, write `\\]` for the character");
    this.#at++;
    if (character === "\\") return this.#escapedRanges();
    return rangesOf(character);
  }
}

function single(character: string): RegexNode {
  return { kind: "one", ranges: rangesOf(character) };
}

function rangesOf(character: string): readonly Range[] {
  const value = character.codePointAt(0) ?? 0;
  return [[value, value]];
}

function complement(ranges: readonly Range[]): readonly Range[] {
  const out: Range[] = [];
  let from = 0;
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (first > from) out.push([from, first - 1]);
    from = Math.max(from, last + 1);
  }
  if (from <= lastCodePoint) out.push([from, lastCodePoint]);
  return out;
}
