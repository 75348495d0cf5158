/** What the document's schema has against a value, as problems that people can act on. Called by `parse.ts` alone. */
import type { z } from "zod";
import { policyFieldNames } from "./json-schema.ts";
import type { Path, Problem, ProblemCode } from "./problem.ts";

type Issue = z.core.$ZodIssue;

/** Unknown fields told of one mapping. */
const maxUnknown = 200;

/** The problems in one issue of the schema; paths are looked up in `root` and begin with `base`. */
export function problemsOf(issue: z.core.$ZodIssue, base: Path, root: unknown): Problem[] {
  // Keys of documents are texts and indexes.
  const path: Path = [...base, ...issue.path.map((key) => (typeof key === "symbol" ? String(key) : key))];
  const value = valueAt(root, path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys
        .slice(0, maxUnknown)
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

/** What stands at a path; nothing where the path leads nowhere. */
export function valueAt(root: unknown, path: Path): unknown {
  let at = root;
  for (const key of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Readonly<Record<string | number, unknown>>)[key]; // an object that has this very key
  }
  return at;
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

/** Text from the document as it may be shown: short, on one line, nothing that a terminal obeys. */
export function cut(text: string, max = 80): string {
  return Array.from(text, (character) => (/[\p{C}]/u.test(character) ? "\u{fffd}" : character))
    .slice(0, max)
    .join("");
}

/** One problem that keeps the policy from being applied. */
export function error(code: ProblemCode, path: Path, message: string, hint?: string): Problem {
  return { severity: "error", code, path, message, ...(hint === undefined ? {} : { hint }) };
}
