/**
 * Reads a policy as people write it. Called where text comes in: `policy check`, `apply`, the editor. Everything wrong is reported at once, with
 * line and column, the rule, and what to write instead; nothing is repaired or ignored, since a misspelt restriction must not become none.
 */
import {
  LineCounter,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  parseDocument,
  visit,
  type Document,
  type Node as YamlNode,
} from "yaml";
import type { z } from "zod";
import { PolicyDocument } from "../documents/policy.ts";
import { policyFieldNames } from "./json-schema.ts";
import { nestsTooDeeply } from "./nesting.ts";
import type { Path, Problem, ProblemCode } from "./problem.ts";

/** The largest policy text, in UTF-16 code units and so at most as many characters. */
export const maxPolicyText = 1024 * 1024;
const maxProblems = 200;
/** How often aliases may be followed in all: enough to share a list of groups, too little for a bomb. */
const maxAliases = 1_000;

export type ParsedPolicy =
  | { readonly ok: true; readonly document: PolicyDocument; readonly source: PolicySource }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Finds places in the text again, for problems that are found later. */
export interface PolicySource {
  /** Adds line and column to a problem that names only its path. */
  readonly locate: (problem: Problem) => Problem;
}

/** Parses YAML (or JSON, which is YAML) into a policy document. */
export function parsePolicy(text: string): ParsedPolicy {
  if (text.length > maxPolicyText) {
    return {
      ok: false,
      problems: [error("too_large", [], `the policy has more than ${String(maxPolicyText)} characters`)],
    };
  }
  if (nestsTooDeeply(text)) return { ok: false, problems: [beyondReason] };
  const lines = new LineCounter();
  let document: Document.Parsed;
  let value: unknown;
  try {
    document = parseDocument(text, {
      lineCounter: lines,
      version: "1.2",
      schema: "core",
      uniqueKeys: false,
      stringKeys: true,
      prettyErrors: false,
    });
    const found: Problem[] = [...document.errors, ...document.warnings].slice(0, maxProblems).map((issue) => {
      const { line, col } = lines.linePos(issue.pos[0]);
      return { ...error("yaml_invalid", [], firstLine(issue.message)), line, column: col };
    });
    if (found.length === 0) found.push(...repeatedKeys(document, lines));
    if (found.length > 0) return { ok: false, problems: found };
    value = document.toJS({ maxAliasCount: maxAliases });
  } catch (failure) {
    // What the parser throws for too many aliases.
    if (failure instanceof ReferenceError) return { ok: false, problems: [beyondReason] };
    throw failure;
  }
  const source: PolicySource = {
    locate: (problem) => ({ ...problem, ...ruleAt(value, problem.path), ...positionOf(document, lines, problem.path) }),
  };
  const checked = PolicyDocument.safeParse(value);
  const problems = checked.success
    ? duplicates(checked.data)
    : checked.error.issues.slice(0, maxProblems).flatMap((issue) => problemsOf(issue, [], value));
  if (problems.length > 0 || !checked.success)
    return { ok: false, problems: problems.slice(0, maxProblems).map(source.locate) };
  return { ok: true, document: checked.data, source };
}

const beyondReason: Problem = {
  severity: "error",
  code: "yaml_invalid",
  path: [],
  message: "the document is nested or repeated beyond reason",
  line: 1,
  column: 1,
};

function error(code: ProblemCode, path: Path, message: string, hint?: string): Problem {
  return { severity: "error", code, path, message, ...(hint === undefined ? {} : { hint }) };
}

/** Keys that a mapping has twice. The parser's own check compares each with each, which takes minutes for a mapping of 90,000 keys. */
function repeatedKeys(document: Document.Parsed, lines: LineCounter): Problem[] {
  const problems: Problem[] = [];
  visit(document, {
    Map: (_, map) => {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value) && problems.length < maxProblems) {
          const { line, col } = lines.linePos(key.range?.[0] ?? 0);
          problems.push({
            ...error("duplicate_key", [], `\`${cut(String(key.value))}\` is written twice here`, "keep one of them"),
            line,
            column: col,
          });
        }
        seen.add(key.value);
      }
    },
  });
  return problems;
}

function duplicates({ rules }: PolicyDocument): Problem[] {
  const first = new Map<string, number>();
  return rules.flatMap(({ name }, index) => {
    const earlier = first.get(name);
    if (earlier === undefined) first.set(name, index);
    return earlier === undefined
      ? []
      : [
          error(
            "duplicate_rule",
            ["rules", index, "name"],
            `rule ${String(earlier + 1)} is called \`${name}\` already`,
            "give each rule a name of its own",
          ),
        ];
  });
}

type Issue = z.core.$ZodIssue;

function problemsOf(issue: Issue, base: Path, root: unknown): Problem[] {
  // Keys of documents are texts and indexes.
  const path: Path = [...base, ...issue.path.map((key) => (typeof key === "symbol" ? String(key) : key))];
  const value = valueAt(root, path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys
        .slice(0, maxProblems)
        .map((key) => error("unknown_field", [...path, key], `there is no field \`${cut(key)}\` here`, nearest(key)));
    case "invalid_union": {
      if (issue.errors.length === 0) return [unknownVariant(path, value)];
      return closest(issue.errors).flatMap((inner) => problemsOf(inner, path, root));
    }
    case "invalid_type":
      if (value === undefined)
        return [
          error(
            "missing_field",
            path,
            `\`${String(path.at(-1) ?? "")}\` is missing`,
            `write ${kindWords(issue.expected)} here`,
          ),
        ];
      return [error("invalid_value", path, `this must be ${kindWords(issue.expected)}, not ${kindOf(value)}`)];
    case "invalid_value":
      return [
        error(
          value === undefined ? "missing_field" : "invalid_value",
          path,
          value === undefined ? `\`${String(path.at(-1) ?? "")}\` is missing` : `${shown(value)} is not possible here`,
          `write ${issue.values.map(shown).join(" or ")}`,
        ),
      ];
    case "too_small":
      return [
        error(
          "invalid_value",
          path,
          `this must have at least ${String(issue.minimum)} ${issue.origin === "number" || issue.origin === "int" ? "as its value" : issue.origin === "string" ? "characters" : "entries"}`,
        ),
      ];
    case "too_big":
      return [
        error(
          "invalid_value",
          path,
          `this may have at most ${String(issue.maximum)} ${issue.origin === "number" || issue.origin === "int" ? "as its value" : issue.origin === "string" ? "characters" : "entries"}`,
        ),
      ];
    case "invalid_key":
    case "invalid_element":
      return issue.issues.flatMap((inner) => problemsOf(inner, path, root));
    case "invalid_format":
    case "not_multiple_of":
    case "custom":
      return [error("invalid_value", path, `${shown(value)} is ${issue.message}`)];
    default:
      return [error("invalid_value", path, "this is not possible here")];
  }
}

/** Of a union's branches, the one that fits best: whose complaints lie deepest, then the fewest of them. */
function closest(branches: readonly (readonly Issue[])[]): readonly Issue[] {
  const depth = (issues: readonly Issue[]): number =>
    Math.min(...issues.map((issue) => (issue.code === "unrecognized_keys" ? 1 : issue.path.length)));
  return branches.reduce((best, branch) => {
    const deeper = depth(branch) - depth(best);
    return deeper > 0 || (deeper === 0 && branch.length < best.length) ? branch : best;
  });
}

/** A union told apart by a field: a rule by its `effect`. Where the field is missing or unknown, the path names it. */
function unknownVariant(path: Path, value: unknown): Problem {
  const hint = "write `effect: allow`, `effect: review` or `effect: deny`";
  if (path.at(-1) !== "effect") return error("invalid_value", path, `this must be a rule, not ${kindOf(value)}`);
  return value === undefined
    ? error("missing_field", path, "`effect` is missing", hint)
    : error("invalid_value", path, `${shown(value)} is no effect`, hint);
}

function valueAt(root: unknown, path: Path): unknown {
  let at = root;
  for (const key of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Readonly<Record<string | number, unknown>>)[key]; // an object that has this very key
  }
  return at;
}

function ruleAt(root: unknown, path: Path): { rule?: string } {
  if (path[0] !== "rules" || typeof path[1] !== "number") return {};
  const name = valueAt(root, ["rules", path[1], "name"]);
  return typeof name === "string" ? { rule: cut(name) } : {};
}

/** The place of a path, or of the nearest thing above it that is there. */
function positionOf(document: Document.Parsed, lines: LineCounter, path: Path): { line: number; column: number } {
  let node: unknown = document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const key of path) {
    const owner: unknown = isAlias(node) ? node.resolve(document) : node;
    const pair = isMap(owner) ? owner.items.find((item) => isScalar(item.key) && item.key.value === key) : undefined;
    const next: unknown = pair ?? (isSeq(owner) && typeof key === "number" ? owner.items[key] : undefined);
    if (next === undefined) break;
    const place: YamlNode | undefined = isPair(next)
      ? isNode(next.key)
        ? next.key
        : undefined
      : isNode(next)
        ? next
        : undefined;
    offset = place?.range?.[0] ?? offset;
    node = isPair(next) ? next.value : next;
  }
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

let names: readonly string[] | undefined;

function fieldNames(): readonly string[] {
  names ??= policyFieldNames();
  return names;
}

function nearest(key: string): string | undefined {
  const ranked = fieldNames()
    .map((name) => ({ name, distance: editDistance(key.slice(0, 40).toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const [best] = ranked;
  return best !== undefined && best.distance <= Math.max(1, Math.floor(key.length / 3))
    ? `did you mean \`${best.name}\`? if not, take it out`
    : "take it out";
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a mapping" : `${shown(value)}, ${kindWords(typeof value)}`;
}

function kindWords(expected: string): string {
  const words: Readonly<Record<string, string>> = {
    string: "a text",
    number: "a number",
    int: "a whole number",
    boolean: "true or false",
    array: "a list",
    object: "a mapping",
    record: "a mapping",
  };
  return words[expected] ?? `a ${expected}`;
}

function shown(value: unknown): string {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? `\`${cut(String(value))}\``
    : kindOf(value);
}

function cut(text: string, max = 80): string {
  return Array.from(text, (character) => (/[\p{C}]/u.test(character) ? "\u{fffd}" : character))
    .slice(0, max)
    .join("");
}

function firstLine(text: string): string {
  const [line = ""] = text.split("\n");
  return cut(line.slice(0, 1).toLowerCase() + line.slice(1), 200);
}
