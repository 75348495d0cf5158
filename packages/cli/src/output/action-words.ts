/**
 * An exact action as an approver reads it: where, the statement laid out, what it touches line by line, and what was done in the session
 * before. All of it is other people's text; every line is marked or cleaned, and nothing is left out or cut.
 */
import type { RequestView } from "@cardea/core/wire/api/requests";
import type { Action } from "@cardea/core/documents/request";
import { z } from "zod";
import { statementLines } from "./sql.ts";
import type { Terminal } from "./terminal.ts";

export type Line = readonly [name: string, words: string];

const Parameter = z.union([z.string(), z.null(), z.object({ base64: z.string() })]);
const Sql = z.object({ database: z.string(), statement: z.string(), params: z.array(Parameter).default([]) });
const Binding = z.object({
  lines: z.array(z.string()).default([]),
  ddl: z.boolean().default(false),
  transaction: z.enum(["may", "never"]).default("may"),
});
const Preview = z.object({
  estimate: z.object({ rows: z.number() }).optional(),
  recent: z.array(z.string()).default([]),
});

/** Columns that the names of fields take, and the mark before each line of a statement. */
const margin = 16;

/** What kinds of actions look like; any other is shown as data. */
const looks: Readonly<Record<string, (action: Action, terminal: Terminal, columns: number) => readonly Line[]>> = {
  sql: sqlLines,
};

/** What the action is. */
export function actionLines(action: Action, terminal: Terminal, columns: number): readonly Line[] {
  const look = Object.hasOwn(looks, action.type) ? looks[action.type] : undefined;
  const { lines, ddl, transaction } = Binding.catch({ lines: [], ddl: false, transaction: "may" }).parse(
    action.binding ?? {},
  );
  return [
    ...(look ?? dataLines)(action, terminal, columns),
    ...named("touches", lines),
    ...(ddl ? [["runs as", "the role that owns the objects, for this statement alone"] as const] : []),
    ...(transaction === "never"
      ? [["note", "it cannot run in a transaction: if it breaks off, nobody knows whether it happened"] as const]
      : []),
  ];
}

/** What was found out beside the action when it was asked for. */
export function previewLines({ document }: RequestView, terminal: Terminal): readonly Line[] {
  const preview = Preview.safeParse(document.facts.verified["preview"]);
  if (!preview.success) return [];
  const { estimate, recent } = preview.data;
  return [
    ...(estimate === undefined ? [] : [["estimate", estimateWords(estimate.rows)] as const]),
    ...named(
      "before it",
      recent.map((statement) => terminal.style("gray", statement)),
    ),
  ];
}

export function estimateWords(rows: number): string {
  return `about ${Math.round(rows).toLocaleString("en")} ${Math.round(rows) === 1 ? "row" : "rows"}, as the planner guesses`;
}

function sqlLines(action: Action, terminal: Terminal, columns: number): readonly Line[] {
  const sql = Sql.safeParse(action.what);
  if (!sql.success) return dataLines(action);
  const { database, statement, params } = sql.data;
  const lines = statementLines(statement, Math.min(columns, 120) - margin, (style, text) =>
    terminal.style(style, text),
  );
  return [
    ["database", database],
    ...named(
      "statement",
      lines.map((line) => `│ ${line}`),
    ),
    ...named(
      "with",
      params.map((value, index) => `$${index + 1} = ${parameterWords(value)}`),
    ),
  ];
}

function parameterWords(value: z.infer<typeof Parameter>): string {
  if (value === null) return "null";
  // Quoted as JSON, so that where a text begins and ends is seen.
  return typeof value === "string" ? JSON.stringify(value) : `binary, base64 ${value.base64}`;
}

function dataLines({ what }: Action): readonly Line[] {
  return Object.entries(what).map(([name, value]): Line => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
}

/** Several lines under one name. */
function named(name: string, words: readonly string[]): readonly Line[] {
  return words.map((line, index): Line => [index === 0 ? name : "", line]);
}
