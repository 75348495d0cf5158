/** What the analysis finds out about one statement. */
import type { Pattern } from "@cardea/core/documents/pattern";
import type { Catalog, FunctionFact, ReadingSettings, RelationFact, TypeFact, WantedName } from "./facts.ts";
import type { Refusal } from "./refusal.ts";

export interface SessionContext {
  readonly database: string;
  /** The session's own login at the resource. */
  readonly login: string;
  /** Major version. */
  readonly serverVersion: number;
  readonly settings: ReadingSettings;
  readonly catalog: Catalog;
  /** Object ids of the types that the client fixed for parameters, 0 for others: their values are made when they are bound. */
  readonly parameterTypes?: readonly number[];
  /** What changed the session's state before is part of a transaction that is still open. */
  readonly undoable?: boolean;
  /** Some code of the database's own may change the search path. */
  readonly codeMoves?: boolean;
  /** A statement of this session by its name: those of `PREPARE` and of the protocol's Parse share one name space. */
  prepared(name: string): Statement | undefined;
}

export type Analysis =
  | Refusal
  /** Facts are lacking: fetch them and ask again. */
  | { readonly is: "unresolved"; readonly names: readonly WantedName[] }
  /** In order; empty for an empty text. */
  | { readonly is: "statements"; readonly statements: readonly Statement[] };

export interface Statement {
  /** For people and records: `select`, `create table`, `set` … */
  readonly kind: string;
  /** Its text, as offsets (UTF-16) into the whole. */
  readonly start: number;
  readonly end: number;
  /** What must be covered, each; never empty. `sql.session` alone: nothing beyond what every session may do. */
  readonly atoms: readonly Pattern[];
  /** For those atoms that any one column would satisfy, such as that of `count(*)`: the table's columns. */
  readonly anyColumn: ReadonlyMap<Pattern, readonly string[]>;
  /** What is left of those atoms without the columns that only the write of their table reads; `undefined`: nothing. */
  readonly beyondOwn: ReadonlyMap<Pattern, Pattern | undefined>;
  /** Further names that it goes by: rules may deny or hold it by them, but they need no cover (`sql.copy.out` beside `sql.select`). */
  readonly aspects: readonly Pattern[];
  readonly touches: readonly Touch[];
  /** Functions that it can reach by name, operator or type, and that may do more than compute; each is an atom `sql.call` too. */
  readonly functions: readonly FunctionFact[];
  /** Everything that its names resolved to, system objects left out: what an approval binds to. */
  readonly binds: Binds;
  readonly effects: readonly Effect[];
  readonly hold: Hold;
  /** `never`: the server refuses it inside a transaction block. */
  readonly transaction: "may" | "never";
  /** Needs ownership rather than privileges: runs as the role that `ddl.as` names. */
  readonly ddl: boolean;
  /** Code of the database's own may run in it that changes the search path: in functions, triggers, rules, policies, views. */
  readonly mayMove: boolean;
  /** A name without a schema stands in it, so that the search path decides what it means. */
  readonly looksUp: boolean;
  /** Highest `$n` in it. */
  readonly parameters: number;
  /** What `prepare`, `execute`, `declare`, `explain` are about. */
  readonly inner?: Statement;
  /** For {@link describe}: lines that the touches do not tell. */
  readonly notes: readonly string[];
}

/** One relation and what is done with it. */
export interface Touch {
  readonly action:
    "select" | "insert" | "update" | "delete" | "truncate" | "lock" | "create" | "alter" | "drop" | "grant";
  readonly schema: string;
  readonly name: string;
  /** `all`: every column, or something that needs the whole table. Empty: none in particular. */
  readonly columns: readonly string[] | "all";
  /** Those of them that only a write of this very table reads, to find its rows and to make its values. */
  readonly own?: readonly string[];
  /** Only rows that a condition selects; of writes: has a `where` that restricts. */
  readonly where: boolean;
  /** The condition, where it is simple enough to be shown in full. */
  readonly condition?: string;
}

export interface Binds {
  readonly relations: readonly RelationFact[];
  readonly functions: readonly FunctionFact[];
  readonly types: readonly TypeFact[];
}

/** Whether it may be held as one statement. */
export type Hold =
  | { readonly is: "may" }
  | {
      readonly is: "never";
      readonly why: string;
      readonly instead: string;
      /** By a request of its own, outside of any session, it may be asked for. */
      readonly outside?: true;
    };

/** What it leaves behind in the session. */
export type Effect =
  | {
      readonly is: "transaction";
      readonly step: "begin" | "commit" | "rollback" | "savepoint" | "release" | "rollback to";
      /** `and chain`: the next one begins at once. */
      readonly chain: boolean;
    }
  | {
      readonly is: "setting";
      /** Lower case. */
      readonly name: string;
      /** As written; `undefined`: back to the session's default. */
      readonly value: readonly string[] | undefined;
      readonly scope: "session" | "transaction";
    }
  | { readonly is: "settings reset" }
  | { readonly is: "discard"; readonly what: "all" | "plans" | "temporary" | "sequences" }
  | { readonly is: "prepare"; readonly name: string }
  | { readonly is: "execute"; readonly name: string }
  /** `undefined`: all. */
  | { readonly is: "deallocate"; readonly name: string | undefined }
  | {
      readonly is: "cursor";
      readonly step: "open" | "fetch" | "close";
      readonly name: string | undefined;
      readonly withHold: boolean;
    }
  /** Names may mean something else from here on: the catalogue's answers are stale. */
  | { readonly is: "definitions" }
  | { readonly is: "temporary table" }
  | { readonly is: "advisory lock" }
  | { readonly is: "large object" }
  | { readonly is: "listen" | "unlisten" | "notify"; readonly channel: string | undefined }
  | { readonly is: "copy"; readonly direction: "in" | "out" };
