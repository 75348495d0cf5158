/**
 * Regular expressions that policy authors write, run on text that requesters choose. JavaScript's own backtrack and can take for ever on
 * `(a+)+$`; these run all alternatives at once (Thompson's construction), so time is bounded by program size times text length.
 *
 * The language is the part of RE2's that needs no memory of what was matched: literals, `.`, classes, `\d \w \s` and their opposites, groups,
 * `|`, `* + ? {n,m}` (lazy forms mean the same here), `^`, `$` and `\b`. Back-references and look-around are refused.
 */
import { never } from "./never.ts";
import { ok, refused, type Result } from "./result.ts";
import { parseRegex, RegexProblem, wordCharacters, type Range, type RegexNode } from "./linear-regex-syntax.ts";

export interface LinearRegex {
  /** Whether any part of the text matches, as CEL's `matches` asks. */
  readonly search: (text: string) => boolean;
  /** Whether the text as a whole matches. */
  readonly matchesWhole: (text: string) => boolean;
}

/** Instructions of one expression; `a{1000}{1000}` does not fit. */
const maxProgram = 1_000;

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
/** Compiles an expression once. Refuses with `invalid_regex` and says where. */
export function compileRegex(source: string): Result<LinearRegex, "invalid_regex"> {
  try {
    const program = emitProgram(parseRegex(source));
    return ok({
      search: (text) => run(program, text, false),
      matchesWhole: (text) => run(program, text, true),
    });
  } catch (error) {
    if (error instanceof RegexProblem) return refused("invalid_regex", `\`${source.slice(0, 80)}\`: ${error.message}`);
    throw error;
  }
}

function emitProgram(node: RegexNode): readonly Instruction[] {
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

function emit(program: Instruction[], node: RegexNode): void {
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
