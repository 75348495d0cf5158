/**
 * Conditions (`when`) in CEL: compiled once per text, evaluated to true, false or a failure with a reason. Called by decisions, judgements and
 * policy checks. Nothing of JavaScript is reachable, nothing is asynchronous, and the outcome depends on the variables alone: not on
 * the process's time zone or clock.
 *
 * What a condition sees (all of it typed, so that a misspelt field is found when the policy is checked):
 *
 * - `subject`: `id, kind, groups [string], claims {string: string}, onBehalfOf` (absent unless the subject is an agent)
 * - `resource`: `name, kind, labels {string: string}, owners { groups [string] }`
 * - `request`: `role` or `action { type, name, what {…} }`, `justification`, `ticket`, `window { start (timestamp), durationSeconds (int) }`,
 *   `limits { sourceIps [string], sessions, uses }`, `via`, `breakGlass (bool)`, `extends (bool)`, `held (bool)`; what was not asked is absent
 * - `verified`, `asserted`: the facts, by name; whole numbers are `int`, others `double`
 * - `now`: the instant of the request, a timestamp; `now.getHours("Europe/Berlin")` reads it in a zone
 *
 * Functions: `has size startsWith endsWith contains matches lowerAscii upperAscii int double string timestamp duration`, the getters of
 * timestamps and durations, and `all exists exists_one filter map`, which may not stand inside one another. So the cost of one evaluation is
 * bounded by the size of the text times the longest list among the facts.
 */
import {
  Environment,
  EvaluationError,
  ParseError,
  TypeError as CheckError,
  type ASTNode,
  type ParseResult,
} from "@marcbachmann/cel-js";
import { compileRegex, type LinearRegex } from "../lib/linear-regex.ts";
import { ok, refused, type Result } from "../lib/result.ts";
import { calendarFields } from "./calendar.ts";
import type { Variables } from "./variables.ts";

/** What a condition came to. `failed` refuses, in deny rules and in others. */
export type Outcome = { readonly is: "true" | "false" } | { readonly is: "failed"; readonly reason: string };

export interface Condition {
  readonly text: string;
  /** Whether it reads `asserted`, which a rule must admit to. */
  readonly readsAsserted: boolean;
  readonly evaluate: (variables: Variables) => Outcome;
}
const maxConditions = 10_000;
const compiled = new Map<string, Result<Condition, "invalid_condition">>();

/** Compiles a condition, or says what is wrong with it. The same text is compiled once. */
export function compileCondition(text: string): Result<Condition, "invalid_condition"> {
  const known = compiled.get(text);
  if (known !== undefined) return known;
  const result = compile(text);
  // Texts come from applied policies, so this is reached only by a process that has seen very many of them.
  if (compiled.size >= maxConditions) compiled.clear();
  compiled.set(text, result);
  return result;
}
const strings = "map<string, string>";
const timestamp = "google.protobuf.Timestamp";

const environment = new Environment({
  limits: { maxAstNodes: 1_000, maxDepth: 50, maxListElements: 500, maxMapEntries: 100, maxCallArguments: 4 },
})
  .registerVariable({
    name: "subject",
    schema: { id: "string", kind: "string", onBehalfOf: "string", groups: "list<string>", claims: strings },
  })
  .registerVariable({
    name: "resource",
    schema: { name: "string", kind: "string", labels: strings, owners: { groups: "list<string>" } },
  })
  .registerVariable({
    name: "request",
    schema: {
      role: "string",
      action: { type: "string", name: "string", what: "map<string, dyn>" },
      justification: "string",
      ticket: "string",
      window: { start: timestamp, durationSeconds: "int" },
      limits: { sourceIps: "list<string>", sessions: "int", uses: "int" },
      via: "string",
      breakGlass: "bool",
      extends: "bool",
      held: "bool",
    },
  })
  .registerVariable("verified", "map<string, dyn>")
  .registerVariable("asserted", "map<string, dyn>")
  .registerVariable("now", timestamp);

/**
 * The library's own `matches` backtracks without bound, its getters with a zone pass through the process's own zone (a different hour
 * where that zone skips one), and its `timestamp` reads text without a zone as local. Calls are renamed to these when compiled.
 */
const replaced: Record<string, string> = { matches: "cardeaMatches", timestamp: "cardeaTimestamp" };
environment.registerFunction("string.cardeaMatches(string): bool", (text: string, pattern: string) =>
  regex(pattern).search(text),
);
environment.registerFunction(`cardeaTimestamp(string): ${timestamp}`, parseTimestamp);
for (const [name, field] of Object.entries(calendarFields)) {
  replaced[name] = `cardea_${name}`;
  environment.registerFunction(`${timestamp}.cardea_${name}(): int`, (at: Date) => BigInt(field(at.getTime(), "UTC")));
  environment.registerFunction(`${timestamp}.cardea_${name}(string): int`, (at: Date, zone: string) =>
    BigInt(field(at.getTime(), zone)),
  );
}
environment.registerFunction("google.protobuf.Duration.cardea_getHours(): int", (value: { getHours(): bigint }) =>
  value.getHours(),
);
environment.registerFunction("google.protobuf.Duration.cardea_getMinutes(): int", (value: { getMinutes(): bigint }) =>
  value.getMinutes(),
);
environment.registerFunction("google.protobuf.Duration.cardea_getSeconds(): int", (value: { getSeconds(): bigint }) =>
  value.getSeconds(),
);

const plainFunctions = new Set([
  "has",
  "size",
  "startsWith",
  "endsWith",
  "contains",
  "lowerAscii",
  "upperAscii",
  "int",
  "double",
  "string",
  "duration",
  "dyn",
]);
const comprehensions = new Set(["all", "exists", "exists_one", "filter", "map"]);

function compile(text: string): Result<Condition, "invalid_condition"> {
  let parsed: ParseResult;
  const reads = { asserted: false };
  try {
    parsed = environment.parse(text);
    prepare(parsed.ast, reads, false);
  } catch (error) {
    return refused("invalid_condition", wordsOf(error));
  }
  const checked = parsed.check();
  if (!checked.valid) return refused("invalid_condition", wordsOf(checked.error));
  if (checked.type !== "bool" && checked.type !== "dyn") {
    return refused("invalid_condition", `it gives a ${String(checked.type)}, a condition must give true or false`);
  }
  return ok({ text, readsAsserted: reads.asserted, evaluate: (variables) => evaluate(parsed, variables) });
}

function evaluate(parsed: ParseResult, variables: Variables): Outcome {
  try {
    const value: unknown = parsed(variables);
    if (value === true) return { is: "true" };
    if (value === false) return { is: "false" };
    return { is: "failed", reason: "it gave neither true nor false" };
  } catch (error) {
    return { is: "failed", reason: wordsOf(error) };
  }
}

class Unsupported extends Error {}

/** Walks every node once: refuses what is not in the language above, renames what is replaced, and notes reads of `asserted`. */
function prepare(node: ASTNode, reads: { asserted: boolean }, inside: boolean): void {
  switch (node.op) {
    case "value":
      return;
    case "id":
      if (node.args === "asserted") reads.asserted = true;
      return;
    case "call":
    case "rcall": {
      const name = node.args[0];
      const looping = node.op === "rcall" && comprehensions.has(name);
      if (looping && inside)
        throw new Unsupported(`\`${name}\` may not stand inside another of \`all exists exists_one filter map\``);
      const [receiver, args] = node.op === "rcall" ? [node.args[1], node.args[2]] : [undefined, node.args[1]];
      if (receiver !== undefined) prepare(receiver, reads, inside);
      for (const arg of args) prepare(arg, reads, inside || looping);
      const replacement = Object.hasOwn(replaced, name) ? replaced[name] : undefined;
      if (replacement !== undefined) node.args[0] = replacement;
      else if (!looping && !plainFunctions.has(name)) throw new Unsupported(`there is no function \`${name}\``);
      if (name === "matches") checkLiteral(args[0]);
      return;
    }
    case ".":
    case ".?":
      prepare(node.args[0], reads, inside);
      return;
    case "list":
      for (const item of node.args) prepare(item, reads, inside);
      return;
    case "map":
      for (const entry of node.args) for (const part of entry) prepare(part, reads, inside);
      return;
    case "!_":
    case "-_":
      prepare(node.args, reads, inside);
      return;
    default:
      for (const part of node.args) prepare(part, reads, inside);
  }
}

function checkLiteral(node: ASTNode | undefined): void {
  if (node?.op !== "value" || typeof node.args !== "string")
    throw new Unsupported("`matches` needs its expression written out as text");
  const checked = compileRegex(node.args);
  if (!checked.ok) throw new Unsupported(checked.detail);
}

const regexes = new Map<string, LinearRegex>();

function regex(source: string): LinearRegex {
  const known = regexes.get(source);
  if (known !== undefined) return known;
  const result = compileRegex(source);
  if (!result.ok) throw new Unsupported(result.detail);
  if (regexes.size >= maxConditions) regexes.clear();
  regexes.set(source, result.value);
  return result.value;
}

function parseTimestamp(text: string): Date {
  const strict = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})$/;
  const date = new Date(strict.test(text) ? text : Number.NaN);
  if (Number.isNaN(date.getTime())) throw new Unsupported(`\`${text.slice(0, 40)}\` is not a time with its zone`);
  return date;
}

/** The first line of what the library says, without the source that it quotes below. */
function wordsOf(error: unknown): string {
  if (error instanceof ParseError || error instanceof EvaluationError || error instanceof CheckError)
    return lowerFirst(error.summary);
  if (error instanceof Unsupported) return error.message;
  // Anything else is the evaluator's own failure; its words may differ from one runtime to another, and decisions must not.
  return "it cannot be evaluated";
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1, 300);
}
