/**
 * Regular expressions that policy authors write, run on text that requesters choose. JavaScript's own backtrack and can take for ever on
 * `(a+)+$`; these run all alternatives at once (Thompson's construction), so time is bounded by program size times text length.
 *
 * The language is the part of RE2's that needs no memory of what was matched: literals, `.`, classes, `\d \w \s` and their opposites, groups,
 * `|`, `* + ? {n,m}` (lazy forms mean the same here), `^`, `$` and `\b`. Back-references and look-around are refused.
 */
import { never } from "./never.ts";
import { ok, refused, type Result } from "./result.ts";

export interface LinearRegex {
  /** Whether any part of the text matches, as CEL's `matches` asks. */
  readonly search: (text: string) => boolean;
  /** Whether the text as a whole matches. */
  readonly matchesWhole: (text: string) => boolean;
}

/** Instructions of one expression; `a{1000}{1000}` does not fit. */
const maxProgram = 5_000;
const maxDepth = 100;

type Range = readonly [from: number, to: number];
type Node =
  | { readonly kind: "one"; readonly ranges: readonly Range[] }
  | { readonly kind: "assert"; readonly what: "start" | "end" | "word" | "notWord" }
  | { readonly kind: "all"; readonly parts: readonly Node[] }
  | { readonly kind: "any"; readonly parts: readonly Node[] }
  | { readonly kind: "repeat"; readonly body: Node; readonly min: number; readonly max: number };

type Instruction =
  | { readonly op: "one"; readonly ranges: readonly Range[] }
  | { readonly op: "assert"; readonly what: "start" | "end" | "word" | "notWord" }
  | Split
  | { readonly op: "match" };

/** Goes on at every target; targets that are not known yet are added when they are. */
interface Split {
  readonly op: "split";
  readonly targets: number[];
}

const lastCodePoint = 0x10ffff;
const digits: readonly Range[] = [[48, 57]];
const wordCharacters: readonly Range[] = [
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

/** Compiles an expression once. Refuses with `invalid_regex` and says where. */
export function compileRegex(source: string): Result<LinearRegex, "invalid_regex"> {
  const parser = new Parser(source);
  try {
    const program = emitProgram(parser.parse());
    return ok({
      search: (text) => run(program, text, false),
      matchesWhole: (text) => run(program, text, true),
    });
  } catch (error) {
    if (error instanceof RegexProblem) return refused("invalid_regex", `\`${source.slice(0, 80)}\`: ${error.message}`);
    throw error;
  }
}

class RegexProblem extends Error {}

class Parser {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#characters = [...source];
  }

  parse(): Node {
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

  #alternatives(): Node {
    if (++this.#depth > maxDepth) throw this.#problem("groups nested too deeply");
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    this.#depth--;
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : { kind: "any", parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")"; next = this.#peek()) {
      parts.push(this.#quantified());
    }
    return { kind: "all", parts };
  }

  #quantified(): Node {
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

  #atom(): Node {
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

  #group(): Node {
    if (this.#take("?") && !this.#take(":"))
      throw this.#problem("look-around, flags and named groups are not supported");
    const node = this.#alternatives();
    if (!this.#take(")")) throw this.#problem("a `(` without its `)`");
    return node;
  }

  #escape(): Node {
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

function single(character: string): Node {
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

function emitProgram(node: Node): readonly Instruction[] {
  const program: Instruction[] = [];
  emit(program, node);
  push(program, { op: "match" });
  return program;
}

function push<I extends Instruction>(program: Instruction[], instruction: I): I {
  if (program.length >= maxProgram) throw new RegexProblem("the expression is too large");
  program.push(instruction);
  return instruction;
}

function split(...targets: number[]): Split {
  return { op: "split", targets };
}

function emit(program: Instruction[], node: Node): void {
  switch (node.kind) {
    case "one":
      push(program, { op: "one", ranges: node.ranges });
      return;
    case "assert":
      push(program, { op: "assert", what: node.what });
      return;
    case "all":
      for (const part of node.parts) emit(program, part);
      return;
    case "any": {
      const fork = push(program, split());
      const ends = node.parts.map((part) => {
        fork.targets.push(program.length);
        emit(program, part);
        return push(program, split());
      });
      for (const end of ends) end.targets.push(program.length);
      return;
    }
    case "repeat": {
      for (let i = 0; i < node.min; i++) emit(program, node.body);
      if (node.max === Infinity) {
        const loop = program.length;
        const fork = push(program, split(loop + 1));
        emit(program, node.body);
        push(program, split(loop));
        fork.targets.push(program.length);
        return;
      }
      const exits: Split[] = [];
      for (let i = node.min; i < node.max; i++) {
        const fork = push(program, split(program.length + 1));
        exits.push(fork);
        emit(program, node.body);
      }
      for (const exit of exits) exit.targets.push(program.length);
      return;
    }
    default:
      never(node);
  }
}

function run(program: readonly Instruction[], text: string, whole: boolean): boolean {
  const points = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  const seen = new Int32Array(program.length).fill(-1);
  let threads: number[] = [];
  for (let at = 0; at <= points.length; at++) {
    const arrived: number[] = [];
    const starts = at === 0 || !whole ? [...threads, 0] : threads;
    if (follow(program, starts, points, at, seen, arrived) && (!whole || at === points.length)) return true;
    const point = points[at];
    threads = [];
    if (point === undefined) break;
    for (const index of arrived) {
      const instruction = program[index];
      if (instruction?.op === "one" && instruction.ranges.some(([from, to]) => from <= point && point <= to))
        threads.push(index + 1);
    }
  }
  return false;
}

/** Follows everything that consumes nothing; says whether the end was reached. `seen` marks each instruction once per position. */
function follow(
  program: readonly Instruction[],
  starts: readonly number[],
  points: readonly number[],
  at: number,
  seen: Int32Array,
  arrived: number[],
): boolean {
  const stack = [...starts];
  let matched = false;
  for (let index = stack.pop(); index !== undefined; index = stack.pop()) {
    if (seen[index] === at) continue;
    seen[index] = at;
    const instruction = program[index];
    switch (instruction?.op) {
      case undefined:
        break;
      case "match":
        matched = true;
        break;
      case "one":
        arrived.push(index);
        break;
      case "split":
        stack.push(...instruction.targets);
        break;
      case "assert":
        if (holds(instruction.what, points, at)) stack.push(index + 1);
        break;
      default:
        never(instruction);
    }
  }
  return matched;
}

function holds(what: "start" | "end" | "word" | "notWord", points: readonly number[], at: number): boolean {
  switch (what) {
    case "start":
      return at === 0;
    case "end":
      return at === points.length;
    case "word":
      return isWord(points[at - 1]) !== isWord(points[at]);
    case "notWord":
      return isWord(points[at - 1]) === isWord(points[at]);
    default:
      return never(what);
  }
}

function isWord(point: number | undefined): boolean {
  return point !== undefined && wordCharacters.some(([from, to]) => from <= point && point <= to);
}
