/** A statement in plain words, for approvers: short lines, the most weighty first. */
import { formatTableName } from "../table-name.ts";
import type { Effect, Statement, Touch } from "./statement.ts";

const verbs: Record<Touch["action"], string> = {
  select: "reads",
  insert: "inserts into",
  update: "updates",
  delete: "deletes from",
  truncate: "empties",
  lock: "locks rows of",
  create: "creates",
  alter: "alters",
  drop: "drops",
  grant: "changes who may use",
};

const order: readonly Touch["action"][] = [
  "drop",
  "truncate",
  "grant",
  "alter",
  "delete",
  "update",
  "insert",
  "create",
  "lock",
  "select",
];

/** Lines such as "updates public.orders (status) where id = 7". Never empty. */
export function describe(statement: Statement): readonly string[] {
  const touches = [...statement.touches].sort((a, b) => order.indexOf(a.action) - order.indexOf(b.action));
  const lines = [
    ...touches.flatMap((touch) => linesOf(touch, statement.kind)),
    ...wideLines(statement),
    ...statement.functions.map(
      (fact) => `can call ${formatTableName({ schema: fact.schema, table: fact.name })}${definer(fact)}`,
    ),
    ...statement.binds.relations.flatMap(({ reaches = [] }) =>
      reaches.map(({ is, name }) => `${is === "foreign key" ? "can reach rows by" : "can run"} the ${is} ${name}`),
    ),
    ...statement.effects.flatMap(effectLine),
    ...statement.notes,
  ];
  const unique = [...new Set(lines)];
  return unique.length === 0 ? [`runs ${statement.kind}, which touches no table`] : unique;
}

function definer(fact: { readonly definer: boolean; readonly owner: string }): string {
  return fact.definer ? `, with the rights of ${fact.owner}` : "";
}

/** What a statement makes that is a relation of its own; everything else that it creates is made for one that is there. */
const makesRelation = /^create (?:table|foreign table|view|sequence|type|schema)|^select/;

function linesOf(touch: Touch, kind: string): readonly string[] {
  const name = formatTableName({ schema: touch.schema, table: touch.name });
  if (touch.action === "create" && !makesRelation.test(kind)) return [`${kind} on ${name}`];
  if (touch.action === "alter" && !/^(?:alter|create)/.test(kind)) return [`${kind}: ${name}`];
  const columns = touch.columns === "all" || touch.columns.length === 0 ? "" : ` (${touch.columns.join(", ")})`;
  const where = touch.condition === undefined ? "" : ` where ${touch.condition}`;
  const line = `${verbs[touch.action]} ${name}${columns}`;
  const everyRow = (touch.action === "update" || touch.action === "delete") && !touch.where;
  return everyRow ? [line, "no WHERE: every row"] : [`${line}${touch.action === "insert" ? "" : where}`];
}

/** Atoms without a table: they stand for the whole database. */
function wideLines({ atoms, kind, touches }: Statement): readonly string[] {
  return atoms
    .filter(({ name, facets }) => name !== "sql.session" && name !== "sql.call" && facets?.["tables"] === undefined)
    .map(({ name }) =>
      name !== "sql.admin" && touches.length > 0
        ? "CASCADE: everything that depends on these as well"
        : `${kind}, which counts as \`${name}\` on the whole database`,
    );
}

function effectLine(effect: Effect): readonly string[] {
  switch (effect.is) {
    case "setting":
      return [
        `sets ${effect.name}${effect.value === undefined ? " to its default" : ` to ${effect.value.join(", ")}`}`,
      ];
    case "settings reset":
      return ["resets every setting of the session"];
    case "temporary table":
      return ["makes a temporary table, which hides others of its name"];
    case "advisory lock":
      return ["takes an advisory lock"];
    case "large object":
      return ["works on large objects"];
    case "notify":
      return ["sends a notification"];
    case "listen":
      return ["listens to notifications"];
    case "transaction":
    case "discard":
    case "prepare":
    case "execute":
    case "deallocate":
    case "cursor":
    case "definitions":
    case "unlisten":
    case "copy":
      return [];
  }
}
