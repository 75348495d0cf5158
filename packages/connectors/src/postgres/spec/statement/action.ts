/**
 * One statement as the action that is asked for: what the requester wrote, and what it was found to be and to touch. Called by the gateway
 * for a statement that waits and by previews, which have to come to equal bytes: two are the same action exactly if type, name, `what` and
 * `binding` are equal as canonical JSON. So everything in it is ordered, and nothing in it tells which connection looked.
 */
import { z } from "zod";
import type { Action } from "@cardea/core/documents/request";
import { canonicalJson } from "@cardea/core/documents/canonical";
import type { Facet, Pattern } from "@cardea/core/documents/pattern";
import { actionNames, type ActionName } from "../actions.ts";
import { describe } from "./describe.ts";
import type { FunctionFact, Reach, RelationFact } from "./facts.ts";
import { refusal, type Refusal } from "./refusal.ts";
import type { Statement } from "./statement.ts";

/** UTF-8 bytes of a statement that can be asked for, and of its parameters together. */
export const maxAskedBytes = 65_536;
const maxAskedRelations = 100;

/** A parameter: its text, null, or the bytes of one in binary format. */
const Parameter = z.union([z.string(), z.null(), z.strictObject({ base64: z.base64() })]);

/** What is asked for. `params` are in order, and absent where there are none. */
export const SqlWhat = z.strictObject({
  database: z.string().min(1).max(63),
  statement: z
    .string()
    .min(1)
    .refine((text) => text.isWellFormed() && !text.includes("\0"), "not valid text"),
  params: z.array(Parameter).min(1).max(65_535).exactOptional(),
});
export type SqlWhat = z.infer<typeof SqlWhat>;

/** `{ name, facet: [values] | true, … }`, as policy reads an action's parts (core, `policy/asked.ts`). */
const Part = z
  .record(z.string(), z.union([z.string(), z.array(z.string()), z.literal(true)]))
  .refine(({ name }) => actionNames.some((known) => known === name), "names no action");
type Part = z.infer<typeof Part>;

const Named = { oid: z.int(), schema: z.string(), name: z.string() };

/** What it was found to be. */
export const SqlBinding = z.strictObject({
  /** `update`, `create table` … */
  kind: z.string(),
  /** For people. */
  lines: z.array(z.string()).min(1),
  /** Needs ownership: runs as the role that the resource's `ddl.as` names. */
  ddl: z.boolean(),
  /** `never`: the server refuses it inside a transaction block. */
  transaction: z.enum(["may", "never"]),
  /** What must be covered, each. */
  patterns: z.array(Part).min(1),
  /** Further names that rules may deny it by. */
  aspects: z.array(Part),
  relations: z
    .array(
      z.strictObject({
        ...Named,
        /** Code that using it can run, and definitions that decide what it means. */
        reaches: z.array(z.strictObject({ is: z.string(), name: z.string(), hash: z.string() })),
      }),
    )
    .max(maxAskedRelations),
  functions: z.array(z.strictObject({ ...Named, hash: z.string() })),
  types: z.array(z.strictObject(Named)),
  /** Settings that decide what the text means, as they were when somebody looked. `search_path`: the schemas that there are. */
  settings: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
  /** Object ids of the types that the client fixed for parameters, 0 for others; absent where it fixed none. */
  parameterTypes: z.array(z.int()).exactOptional(),
});
export type SqlBinding = z.infer<typeof SqlBinding>;

/** What the server says besides about the things that a statement touches; `lookAround` asks for it. */
export interface Surroundings {
  /** By the object id of the relation. */
  readonly reaches: ReadonlyMap<number, readonly Reach[]>;
  /** What runs when definitions change. */
  readonly eventTriggers: readonly FunctionFact[];
  readonly settings: SqlBinding["settings"];
  readonly parameterTypes: readonly number[];
}

/** Why a statement cannot be asked for; `undefined`: it can. */
export function whyNotAsked(
  what: Omit<SqlWhat, "database">,
  { hold, binds }: Statement,
  where: "session" | "outside" = "session",
): Refusal | undefined {
  if (hold.is === "never" && (where === "session" || hold.outside !== true))
    return refusal("never_judged", hold.why, hold.instead);
  const params = what.params === undefined ? 0 : Buffer.byteLength(JSON.stringify(what.params));
  if (Buffer.byteLength(what.statement) > maxAskedBytes || params > maxAskedBytes)
    return refusal("too_large", `longer than the ${maxAskedBytes} bytes that can be asked for`, "send it in parts");
  const relations = new Set(binds.relations.map(({ oid }) => oid));
  return relations.size > maxAskedRelations
    ? refusal("too_large", `it touches more than ${maxAskedRelations} relations`, "send it in parts")
    : undefined;
}

/** The action; only for a statement that can be asked for. */
export function actionOf(what: SqlWhat, statement: Statement, around: Surroundings): Action {
  const seen = inOrder(statement, around);
  const { beyondOwn } = seen;
  // Who may change rows may find them: what only the write itself reads needs no cover, but rules may deny it.
  const covered = seen.atoms
    .map((atom) => (beyondOwn.has(atom) ? beyondOwn.get(atom) : atom))
    .filter((atom) => atom !== undefined);
  const working = covered.filter(({ name }) => name !== "sql.session");
  const atoms = byWeight(working.length === 0 ? covered : working);
  const binding: SqlBinding = {
    kind: seen.kind,
    lines: [...describe(seen)],
    ddl: seen.ddl,
    transaction: seen.transaction,
    patterns: atoms.map(partOf),
    aspects: byWeight([...seen.aspects, ...beyondOwn.keys()]).map(partOf),
    relations: seen.binds.relations.map(({ oid, schema, name, reaches = [] }) => ({
      oid,
      schema,
      name,
      reaches: reaches.map((reach) => ({ ...reach })),
    })),
    functions: seen.binds.functions.map(({ oid, schema, name, hash = "" }) => ({ oid, schema, name, hash })),
    types: seen.binds.types.map(({ oid, schema, name }) => ({ oid, schema, name })),
    settings: around.settings,
    ...(around.parameterTypes.some((oid) => oid !== 0) ? { parameterTypes: [...around.parameterTypes] } : {}),
  };
  return { type: "sql", name: atoms[0]?.name ?? "sql.session", what, binding };
}

/**
 * What an action means, as one text: equal for two that do the same to the same things. Along which path names were found does not count, since
 * the path is longer for a login that was just lent something in one more schema.
 */
export function meaningOf({ binding = {}, ...action }: Action): string {
  const { settings, ...rest } = binding;
  const values = Object.entries(settings ?? {}).filter(([name]) => name !== "search_path");
  return canonicalJson({ ...action, binding: { ...rest, settings: Object.fromEntries(values) } });
}

/** The statement with what surrounds it, everything once and in an order that does not depend on who asked in which order. */
function inOrder(statement: Statement, { reaches, eventTriggers }: Surroundings): Statement {
  const { binds, touches } = statement;
  const written = new Set(touches.filter(({ action }) => !readingOnly.has(action)).map(fullName));
  const read = new Set(touches.map(fullName));
  const withReaches = (relation: RelationFact): RelationFact => {
    const name = fullName(relation);
    const onlyRead = read.has(name) && !written.has(name);
    const all = reaches.get(relation.oid) ?? [];
    return {
      ...relation,
      // Each session has its temporary schema under another number.
      schema: relation.temporary ? "pg_temp" : relation.schema,
      reaches: onlyRead ? all.filter(({ is }) => !onWritesOnly.has(is)) : all,
    };
  };
  const more = statement.ddl ? eventTriggers : [];
  return {
    ...statement,
    functions: unique([...statement.functions, ...more]),
    binds: {
      relations: unique(binds.relations).map(withReaches),
      functions: unique([...binds.functions, ...more]),
      types: unique(binds.types),
    },
  };
}

const readingOnly: ReadonlySet<string> = new Set(["select", "lock"]);
const onWritesOnly: ReadonlySet<Reach["is"]> = new Set(["trigger", "rule", "foreign key"]);

function fullName({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return JSON.stringify([schema, name]);
}

function unique<T extends { readonly oid: number; readonly schema: string; readonly name: string }>(
  facts: readonly T[],
): readonly T[] {
  const byOid = new Map(facts.map((fact) => [fact.oid, fact]));
  const order = (a: T, b: T): number => compare(fullName(a), fullName(b));
  return [...byOid.values()].sort((a, b) => (order(a, b) === 0 ? a.oid - b.oid : order(a, b)));
}

/** Each once, the most weighty first. */
function byWeight(patterns: readonly Pattern[]): readonly Pattern[] {
  const texts = new Map(patterns.map((pattern) => [canonicalJson(pattern), pattern]));
  return [...texts]
    .sort(([a, one], [b, other]) =>
      weightOf(one) === weightOf(other) ? compare(a, b) : weightOf(one) - weightOf(other),
    )
    .map(([, pattern]) => pattern);
}

function weightOf({ name }: Pattern): number {
  return weights.findIndex((known) => known === name);
}

const weights: readonly ActionName[] = [
  "sql.admin",
  "sql.grant",
  "sql.ddl.drop",
  "sql.ddl.alter",
  "sql.ddl.create",
  "sql.truncate",
  "sql.delete",
  "sql.update",
  "sql.merge",
  "sql.insert",
  "sql.copy.in",
  "sql.call",
  "sql.copy.out",
  "sql.select",
  "sql.session",
];

function partOf({ name, facets = {} }: Pattern): Part {
  return { ...Object.fromEntries(Object.entries(facets).map(([key, facet]) => [key, valueOf(facet)])), name };
}

function valueOf(facet: Facet): string[] | true {
  return facet.matcher === "flag" ? true : [...facet.values].sort();
}

/** By UTF-16 code units, as RFC 8785 orders keys. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
