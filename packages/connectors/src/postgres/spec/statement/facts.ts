/**
 * What the analysis must be told: facts of the server's catalogue as the session sees them now. The gateway fetches and keeps them; the
 * analysis asks by name, synchronously, and says which answers it still lacks.
 *
 * INVARIANT: a catalogue's answers belong to one database, one login and one `search_path`, temporary schema included. Whoever changes one of
 * these, or definitions (see the effects of a statement), hands over another catalogue or one that has forgotten.
 */

/** A relation of any kind: table, view, sequence, index … */
export interface RelationFact {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `pg_class.relkind`. */
  readonly kind: string;
  /** Columns that exist now, in order, without system columns. */
  readonly columns: readonly string[];
  /** In a system schema and made by `initdb` (an oid below 16384). */
  readonly system: boolean;
  /** In the session's own temporary schema. */
  readonly temporary: boolean;
  /** Whether functions that are not the server's may run when it is used. */
  readonly code?: "never" | "when written" | "always";
  /** Functions of user-defined casts from and to its row and its columns' types, any of which an expression may use without naming it. */
  readonly casts?: readonly FunctionFact[];
  /**
   * Columns that PUBLIC may select; `all`: the table. Asked for system relations only. Of `pg_settings`, which shows some logins more than
   * others: none where the session's login is one of those.
   */
  readonly publicSelect: "all" | readonly string[];
  /** Code that using it can run (triggers, rules, a view's functions), each with a hash of its definition, where `reachQuery` was asked. */
  readonly reaches?: readonly Reach[];
}

/** `foreign key`: what is done to a row is done to the rows that refer to it as well. */
export const reachKinds = ["trigger", "rule", "policy", "view", "foreign key", "function"] as const;

export interface Reach {
  readonly is: (typeof reachKinds)[number];
  readonly name: string;
  /** Of the definition. */
  readonly hash: string;
}

/** One function, procedure, aggregate or window function. */
export interface FunctionFact {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: "function" | "procedure" | "aggregate" | "window";
  readonly minArgs: number;
  /** `Infinity` with a variadic parameter. */
  readonly maxArgs: number;
  readonly volatility: "immutable" | "stable" | "volatile";
  /** `pg_language.lanname`. */
  readonly language: string;
  readonly definer: boolean;
  readonly owner: string;
  /** Made by `initdb` (an oid below 16384). */
  readonly system: boolean;
  /** Of the definition; not needed for system functions. */
  readonly hash?: string;
}

export interface TypeFact {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly system: boolean;
  /** What making a value of it may run: a domain's checks, the input function of a type that is no system's, casts to it. */
  readonly functions: readonly FunctionFact[];
}

/** `undefined` as schema: as the session's search path finds it. `unknown`: not fetched yet. */
export interface Catalog {
  relation(schema: string | undefined, name: string): RelationFact | "missing" | "unknown";
  /** Every function of that name that a call may mean; none: an empty list. */
  functions(schema: string | undefined, name: string): readonly FunctionFact[] | "unknown";
  /** The functions behind every operator of that name that may be meant. */
  operators(schema: string | undefined, name: string): readonly FunctionFact[] | "unknown";
  type(schema: string | undefined, name: string): TypeFact | "missing" | "unknown";
  typeByOid(oid: number): TypeFact | "missing" | "unknown";
  /** Where an unqualified new object goes (`current_schema()`); `undefined`: nowhere. */
  readonly creationSchema: string | undefined;
}

/** A fact that is lacking. */
export interface WantedName {
  /** `type by oid`: the name is an object id. */
  readonly is: "relation" | "function" | "operator" | "type" | "type by oid";
  readonly schema?: string;
  readonly name: string;
}

/** Settings that decide how the server reads a text. */
export interface ReadingSettings {
  readonly standardConformingStrings: string;
  readonly clientEncoding: string;
  readonly serverEncoding: string;
}
