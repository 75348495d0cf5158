/**
 * The one analysis under way: the facts it may use, and what it has found so far. The parts that walk the tree (expressions, queries,
 * writes, definitions) call one another through it. Made anew for each statement; mutable until the statement is put together.
 */
import type { ActionName } from "../actions.ts";
import type { FunctionFact, RelationFact, TypeFact, WantedName } from "./facts.ts";
import {
  isHarmless,
  isHarmlessOperator,
  readsSequences,
  takes,
  takesAdvisoryLock,
  worksOnLargeObjects,
} from "./functions.ts";
import { refusal, type Refusal, type RefusalCode } from "./refusal.ts";
import type { Effect, SessionContext, Touch } from "./statement.ts";
import { textIn, type Node, type Tree } from "./tree.ts";
import type { Column, Scope } from "./scope.ts";
import { newUse, type Use } from "./uses.ts";

/** Below it is what `initdb` made. */
export const firstNormalOid = 16_384;

/** The parts that need one another. */
export interface Walkers {
  /** A query or a write inside something; answers its columns, `undefined` where they are not known. */
  query(work: Work, node: Node, scope: Scope): readonly Column[] | undefined;
  expression(work: Work, node: Node, scope: Scope): void;
}

export class Work {
  readonly context: SessionContext;
  readonly walk: Walkers;
  readonly uses: Use[] = [];
  /** Beyond the uses: whole tables in definitions, locks and the like. */
  readonly touches: Touch[] = [];
  readonly effects: Effect[] = [];
  readonly notes: string[] = [];
  readonly reached = new Map<number, FunctionFact>();
  readonly relations = new Map<number, RelationFact>();
  readonly types = new Map<string, TypeFact>();
  readonly wanted = new Map<string, WantedName>();
  refused: Refusal | undefined;
  /** Needs `sql.admin`, whatever else it does. */
  administration = false;
  /** Actions on the database as a whole. */
  readonly wide = new Set<ActionName>();
  parameters = 0;
  /** Whether a name without a schema was looked up, which the search path decides. */
  looksUp = false;

  constructor(context: SessionContext, walk: Walkers) {
    this.context = context;
    this.walk = walk;
  }

  /** The first reason stays. */
  refuse(code: RefusalCode, why: string, instead?: string): void {
    this.refused ??= refusal(code, why, instead);
  }

  /** A relation by its name as written; `undefined`: refused, or to be asked for. */
  relation(rangeVar: Tree): RelationFact | undefined {
    const name = textIn(rangeVar, "relname") ?? "";
    const schema = textIn(rangeVar, "schemaname");
    const catalog = textIn(rangeVar, "catalogname");
    if (catalog !== undefined && catalog !== this.context.database) {
      this.refuse("missing_name", `\`${catalog}\` is another database`, "connect to that one");
      return undefined;
    }
    return this.relationNamed(schema, name);
  }

  relationNamed(schema: string | undefined, name: string, missingOk = false): RelationFact | undefined {
    this.looksUp ||= schema === undefined;
    const fact = this.context.catalog.relation(schema, name);
    if (fact === "unknown") this.want("relation", schema, name);
    else if (fact === "missing") {
      if (!missingOk) {
        this.refuse("missing_name", `relation \`${schema === undefined ? name : `${schema}.${name}`}\` does not exist`);
      }
    } else if (fact.schema === "pg_toast") {
      this.refuse("never_judged", "a table's overflow storage cannot be read by itself", "read the table");
    } else {
      if (!fact.system) this.relations.set(fact.oid, fact);
      for (const cast of fact.casts ?? []) this.reach(cast, isHarmlessOperator(cast));
      return fact;
    }
    return undefined;
  }

  /** Whether the session's login is shown the server's confidential settings. */
  get seesSettings(): boolean {
    return this.relationNamed("pg_catalog", "pg_settings")?.publicSelect !== "all";
  }

  /** Notes one more mention of a relation. */
  use(relation: RelationFact, select: boolean): Use {
    const use = newUse(relation, select);
    this.uses.push(use);
    return use;
  }

  /** Every function that a name may mean; `undefined`: to be asked for. */
  functionsNamed(names: readonly string[]): readonly FunctionFact[] | undefined {
    const { schema, name } = splitName(names);
    this.looksUp ||= schema === undefined;
    const facts = this.context.catalog.functions(schema, name);
    if (facts !== "unknown") return facts;
    this.want("function", schema, name);
    return undefined;
  }

  /** A call by name; each of its functions that takes so many arguments counts. */
  call(names: readonly string[], args: number): void {
    for (const fact of this.functionsNamed(names) ?? []) if (takes(fact, args)) this.reach(fact, isHarmless(fact));
  }

  operator(names: readonly string[]): void {
    const { schema, name } = splitName(names);
    this.looksUp ||= schema === undefined;
    const facts = this.context.catalog.operators(schema, name);
    if (facts === "unknown") this.want("operator", schema, name);
    else for (const fact of facts) this.reach(fact, isHarmlessOperator(fact));
  }

  type(names: readonly string[]): void {
    const { schema, name } = splitName(names);
    this.looksUp ||= schema === undefined;
    const fact = this.context.catalog.type(schema, name);
    if (fact === "unknown") this.want("type", schema, name);
    else if (fact !== "missing") this.madeOf(fact);
  }

  /** The server's own types only make values. */
  typeByOid(oid: number): void {
    if (oid < firstNormalOid) return;
    const fact = this.context.catalog.typeByOid(oid);
    if (fact === "unknown") this.want("type by oid", undefined, String(oid));
    else if (fact !== "missing") this.madeOf(fact);
  }

  /** Values of a type are made. */
  madeOf(fact: TypeFact): void {
    if (fact.system) return;
    this.types.set(`${fact.schema} ${fact.name}`, fact);
    for (const reached of fact.functions) this.reach(reached, isHarmlessOperator(reached));
  }

  reach(fact: FunctionFact, harmless: boolean): void {
    if (harmless) return;
    if (readsSequences(fact)) {
      this.wide.add("sql.select");
      return;
    }
    this.reached.set(fact.oid, fact);
    if (!fact.system) return;
    if (takesAdvisoryLock(fact.name)) this.effects.push({ is: "advisory lock" });
    if (worksOnLargeObjects(fact.name)) this.effects.push({ is: "large object" });
    if (fact.name === "pg_notify") this.effects.push({ is: "notify", channel: undefined });
  }

  want(is: WantedName["is"], schema: string | undefined, name: string): void {
    this.wanted.set(`${is} ${schema ?? ""} ${name}`, { is, name, ...(schema === undefined ? {} : { schema }) });
  }
}

/** `schema.name` or `name`; a leading database name is dropped. */
export function splitName(names: readonly string[]): { readonly schema: string | undefined; readonly name: string } {
  return { schema: names.at(-2), name: names.at(-1) ?? "" };
}
