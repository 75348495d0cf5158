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
import { PolicyDocument } from "../documents/policy.ts";
import { nestsTooDeeply } from "./nesting.ts";
import type { Path, Problem } from "./problem.ts";
import { cut, error, problemsOf, valueAt } from "./schema-problems.ts";

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
    document = withoutStacks(() =>
      parseDocument(text, {
        lineCounter: lines,
        version: "1.2",
        schema: "core",
        uniqueKeys: false,
        stringKeys: true,
        prettyErrors: false,
      }),
    );
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

/** The parser makes an `Error` for everything wrong, and cannot be told to stop; most of the time of a million of them goes into their stacks. */
function withoutStacks<T>(parse: () => T): T {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return parse();
  } finally {
    Error.stackTraceLimit = before;
  }
}

const beyondReason: Problem = {
  severity: "error",
  code: "yaml_invalid",
  path: [],
  message: "the document is nested or repeated beyond reason",
  line: 1,
  column: 1,
};

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

function firstLine(text: string): string {
  const [line = ""] = text.split("\n");
  return cut(line.slice(0, 1).toLowerCase() + line.slice(1), 200);
}
