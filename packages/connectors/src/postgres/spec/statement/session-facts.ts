/**
 * The facts of one session, kept until something changes: what the analysis asks, and what was fetched for it by the queries beside this
 * file. Called by whoever runs these; holds no connection.
 */
import { z } from "zod";
import { functionsQuery, operatorsQuery, relationsQuery, typesByOidQuery, typesQuery } from "./catalog-queries.ts";
import {
  reachKinds,
  type Catalog,
  type FunctionFact,
  type Reach,
  type RelationFact,
  type TypeFact,
  type WantedName,
} from "./facts.ts";

const Oid = z.coerce.number();
const FunctionRow = z
  .object({
    oid: Oid,
    schema: z.string(),
    name: z.string(),
    kind: z.enum(["f", "p", "a", "w"]),
    minArgs: z.number(),
    maxArgs: z.number().nullable(),
    volatility: z.enum(["i", "s", "v"]),
    language: z.string(),
    definer: z.boolean(),
    owner: z.string(),
    system: z.boolean(),
    hash: z.string(),
  })
  .transform((row): FunctionFact => ({
    ...row,
    kind: ({ f: "function", p: "procedure", a: "aggregate", w: "window" } as const)[row.kind],
    maxArgs: row.maxArgs ?? Infinity,
    volatility: ({ i: "immutable", s: "stable", v: "volatile" } as const)[row.volatility],
  }));
const RelationRow = z
  .object({
    oid: Oid,
    schema: z.string(),
    name: z.string(),
    kind: z.string(),
    columns: z.array(z.string()),
    system: z.boolean(),
    temporary: z.boolean(),
    publicAll: z.boolean(),
    publicColumns: z.array(z.string()).nullable(),
    code: z.enum(["never", "when written", "always"]),
    casts: z.array(FunctionRow),
  })
  .transform(({ publicAll, publicColumns, ...row }): RelationFact => ({
    ...row,
    publicSelect: publicAll ? "all" : (publicColumns ?? []),
  }));
const TypeRow = z.object({
  oid: Oid,
  schema: z.string(),
  name: z.string(),
  system: z.boolean(),
  functions: z.array(FunctionRow),
}) satisfies z.ZodType<TypeFact>;

const ReachRows = z.array(
  z.object({
    is: z.enum(reachKinds),
    name: z.string(),
    hash: z.string(),
  }),
);

/** An answer to `reachQuery`. @throws ZodError where it is none */
export function readReach(answer: unknown): readonly Reach[] {
  return ReachRows.parse(answer);
}

/** An answer to `eventTriggersQuery`. @throws ZodError where it is none */
export function readFunctions(answer: unknown): readonly FunctionFact[] {
  return z.array(FunctionRow).parse(answer);
}

/** One query to run: its only column `answer` holds one row for each name, in order. */
export interface FactQuery {
  readonly text: string;
  readonly values: readonly [schemas: readonly (string | null)[], names: readonly string[]];
  /** Takes the answers, JSON already read. @throws ZodError where they are not what the query gives */
  readonly take: (answers: readonly unknown[]) => void;
}

export class SessionFacts implements Catalog {
  readonly #relations = new Map<string, RelationFact | "missing">();
  readonly #functions = new Map<string, readonly FunctionFact[]>();
  readonly #operators = new Map<string, readonly FunctionFact[]>();
  readonly #types = new Map<string, TypeFact | "missing">();
  readonly #typesByOid = new Map<string, TypeFact | "missing">();
  readonly creationSchema: string | undefined;

  /** The schemas that names are looked up in, as the server writes them. */
  readonly path: string | undefined;

  /** The answers to `pathQuery`. */
  constructor(creationSchema: string | undefined, path: string | undefined) {
    this.creationSchema = creationSchema;
    this.path = path;
  }

  relation(schema: string | undefined, name: string): RelationFact | "missing" | "unknown" {
    return this.#relations.get(key(schema, name)) ?? "unknown";
  }

  functions(schema: string | undefined, name: string): readonly FunctionFact[] | "unknown" {
    return this.#functions.get(key(schema, name)) ?? "unknown";
  }

  operators(schema: string | undefined, name: string): readonly FunctionFact[] | "unknown" {
    return this.#operators.get(key(schema, name)) ?? "unknown";
  }

  type(schema: string | undefined, name: string): TypeFact | "missing" | "unknown" {
    return this.#types.get(key(schema, name)) ?? "unknown";
  }

  typeByOid(oid: number): TypeFact | "missing" | "unknown" {
    return this.#typesByOid.get(key(undefined, String(oid))) ?? "unknown";
  }

  /** The queries that answer what is lacking; one for each kind of name. */
  queriesFor(names: readonly WantedName[]): readonly FactQuery[] {
    const maybe = <T>(row: z.ZodType<T>) => row.nullable().transform((value) => value ?? ("missing" as const));
    return [
      fill(names, "relation", relationsQuery, this.#relations, maybe(RelationRow)),
      fill(names, "function", functionsQuery, this.#functions, z.array(FunctionRow)),
      fill(names, "operator", operatorsQuery, this.#operators, z.array(FunctionRow)),
      fill(names, "type", typesQuery, this.#types, maybe(TypeRow)),
      fill(names, "type by oid", typesByOidQuery, this.#typesByOid, maybe(TypeRow)),
    ].filter((query) => query.values[1].length > 0);
  }
}

function fill<T>(
  names: readonly WantedName[],
  is: WantedName["is"],
  text: string,
  into: Map<string, T>,
  row: z.ZodType<T>,
): FactQuery {
  const asked = names.filter((name) => name.is === is);
  return {
    text,
    values: [asked.map(({ schema }) => schema ?? null), asked.map(({ name }) => name)],
    take(answers) {
      asked.forEach(({ schema, name }, index) => into.set(key(schema, name), row.parse(answers[index])));
    },
  };
}

function key(schema: string | undefined, name: string): string {
  return `${schema === undefined ? "" : JSON.stringify(schema)}.${name}`;
}
