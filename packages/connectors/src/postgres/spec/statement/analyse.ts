/**
 * What one text of SQL does, as the atoms that a grant's judgement is asked about. Called by the gateway for every simple query and every
 * Parse message, by previews and by requests for an action. Pure: it takes the parser's tree and the facts it is given, and never throws.
 *
 * A text is refused where any part of it is of a form that is not known, or where what it does is not in it. What is not refused is put
 * into atoms that name at least what PostgreSQL will check privileges for, and further all that privileges do not govern: functions that
 * act, settings, definitions. Where the two cannot be made equal an atom says more, never less.
 *
 * Reading the server's catalogue, as `\d` and drivers do, is part of `sql.session` as far as PUBLIC may read it and it shows no data of tables
 * (`pg_stats` does) and nothing of other sessions (`pg_stat_activity` does): those are `sql.select` of that relation.
 */
import type { Pattern } from "@cardea/core/documents/pattern";
import type { ActionName } from "../actions.ts";
import { expression } from "./expression.ts";
import type { ReadingSettings, WantedName } from "./facts.ts";
import { never, outline, type Outline } from "./outline.ts";
import type { ParsedText } from "./parser.ts";
import { select } from "./query.ts";
import { refusal, type Refusal } from "./refusal.ts";
import type { Column, Scope } from "./scope.ts";
import type { Analysis, Effect, SessionContext, Statement, Touch } from "./statement.ts";
import type { Node } from "./tree.ts";
import { atomsOf, callAtom, databaseAtom, touchesOf, type TableAtom } from "./uses.ts";
import { firstNormalOid, Work, type Walkers } from "./work.ts";
import { insert, merge, remove, update } from "./write.ts";

const oldestServer = 15;
/** The grammar's. */
const newestServer = 18;

/** Analyses every statement of a text. The same answer for the same text, settings and facts. */
export function analyse(parsed: ParsedText, context: SessionContext): Analysis {
  const misread = misreading(parsed.text, context);
  if (misread !== undefined) return misread;
  // Values of a domain are made, and checked, though nothing runs.
  if (parsed.statements.length === 0 && (context.parameterTypes ?? []).some((oid) => oid >= firstNormalOid))
    return refusal("never_judged", "parameters without a statement", "send a statement");
  const statements: Statement[] = [];
  const names: WantedName[] = [];
  const prepared = new Map<string, Statement>();
  const local: SessionContext = { ...context, prepared: (name) => prepared.get(name) ?? context.prepared(name) };
  let moved: string | undefined;
  for (const { node, start, end } of parsed.statements) {
    const found = analyseOne(node, local, { start, end });
    if (found.is === "refused") return found;
    if (found.is === "unresolved") {
      names.push(...found.names);
      continue;
    }
    const { statement } = found;
    if (moved !== undefined && statement.looksUp) {
      return refusal(
        "never_judged",
        `after \`${moved}\` names may mean something else`,
        "send the statements after it separately",
      );
    }
    const moves = statement.effects.some(
      (effect) => movesNames(effect) || (context.undoable === true && endsTransaction(effect)),
    );
    if (moves || statement.mayMove) moved = statement.kind;
    for (const effect of statement.effects) {
      if (effect.is === "prepare" && statement.inner !== undefined) prepared.set(effect.name, statement.inner);
    }
    statements.push(statement);
  }
  if (names.length > 0) return { is: "unresolved", names };
  const only = statements.length === 1;
  return {
    is: "statements",
    statements: only ? statements : statements.map((statement) => ({ ...statement, hold: together })),
  };
}

const together = never("it stands together with others in one text", "send it by itself");

/** After these the names in later statements of the same text would have to be looked up anew. */
function movesNames(effect: Effect): boolean {
  switch (effect.is) {
    case "setting":
      return effect.name === "search_path";
    case "settings reset":
    case "temporary table":
      return true;
    case "discard":
      return effect.what === "all" || effect.what === "temporary";
    default:
      return false;
  }
}

/** With it what was changed in the transaction may be taken back, or come to its end. */
export function endsTransaction(effect: Effect): boolean {
  return effect.is === "transaction" && ["commit", "rollback", "rollback to"].includes(effect.step);
}

/** Settings under which the server reads other words than the parser. */
function misreading(text: string, { settings, serverVersion }: SessionContext): Refusal | undefined {
  const fault = misreadingSetting(text, settings);
  if (fault !== undefined) return refusal("unpinned", fault, "connect anew");
  return serverVersion < oldestServer || serverVersion > newestServer
    ? refusal("unpinned", `postgresql ${serverVersion} is not supported`, `use ${oldestServer} to ${newestServer}`)
    : undefined;
}

function misreadingSetting(text: string, settings: ReadingSettings): string | undefined {
  if (settings.standardConformingStrings !== "on") return "`standard_conforming_strings` is not on";
  if (settings.clientEncoding !== "UTF8") return "`client_encoding` is not UTF8";
  // Elsewhere names are cut and folded by other rules.
  const ascii = /^[\0-\x7f]*$/;
  return settings.serverEncoding === "UTF8" || ascii.test(text)
    ? undefined
    : "the database's encoding is not UTF8, so that names outside ASCII may mean something else";
}

type Found =
  | Refusal
  | { readonly is: "unresolved"; readonly names: readonly WantedName[] }
  | { readonly is: "found"; readonly statement: Statement };

interface Place {
  readonly start: number;
  readonly end: number;
}

function analyseOne(node: Node, context: SessionContext, place: Place): Found {
  const work = new Work(context, walkers);
  for (const oid of context.parameterTypes ?? []) work.typeByOid(oid);
  const nested = (inner: Node | undefined): Statement | undefined => {
    if (inner === undefined) return undefined;
    const found = analyseOne(inner, context, place);
    if (found.is === "found") {
      work.looksUp ||= found.statement.looksUp;
      return found.statement;
    }
    if (found.is === "refused") work.refused ??= found;
    else for (const { is, schema, name } of found.names) work.want(is, schema, name);
    return undefined;
  };
  const outlined = outline(work, node, nested);
  // What is refused for a fact that is lacking may yet be told apart.
  if (work.wanted.size > 0) return { is: "unresolved", names: [...work.wanted.values()] };
  if (work.refused !== undefined) return work.refused;
  return { is: "found", statement: statementOf(work, outlined, place) };
}

const walkers: Walkers = {
  expression,
  query(work: Work, { kind, fields }: Node, scope: Scope): readonly Column[] | undefined {
    switch (kind) {
      case "SelectStmt":
        return select(work, fields, scope);
      case "InsertStmt":
        return insert(work, fields, scope);
      case "UpdateStmt":
        return update(work, fields, scope);
      case "DeleteStmt":
        return remove(work, fields, scope);
      case "MergeStmt":
        return merge(work, fields, scope);
      default:
        work.refuse("unknown_form", `\`${kind}\` cannot stand inside a query`);
        return undefined;
    }
  },
};

function statementOf(work: Work, outlined: Outline, { start, end }: Place): Statement {
  const { database } = work.context;
  const { inner } = outlined;
  const touches = [...work.uses.flatMap(touchesOf), ...work.touches];
  const functions = [...work.reached.values()];
  const wide = new Set<ActionName>([
    ...(outlined.wide ?? []),
    ...work.wide,
    ...(work.administration ? (["sql.admin"] as const) : []),
  ]);
  const tables = atomsOf(touches, database);
  const own = [
    ...tables.map(({ atom }) => atom),
    ...functions.map((fact) => callAtom(fact, database)),
    ...[...wide].map((name) => databaseAtom(name, database)),
  ];
  const session = inner === undefined ? [databaseAtom("sql.session", database)] : inner.atoms;
  return {
    kind: outlined.kind,
    start,
    end,
    atoms: own.length === 0 ? session : [...own, ...(inner?.atoms ?? [])],
    anyColumn: new Map([...anyColumns(work, tables), ...(inner?.anyColumn ?? [])]),
    beyondOwn: new Map([
      ...tables
        .filter(({ atom, beyondOwn }) => beyondOwn !== atom)
        .map(({ atom, beyondOwn }) => [atom, beyondOwn] as const),
      ...(inner?.beyondOwn ?? []),
    ]),
    aspects: [
      ...(outlined.aspects ?? []).flatMap((name) => aspectsOf(name, touches, database)),
      ...(inner?.aspects ?? []),
    ],
    touches: [...touches, ...(inner?.touches ?? [])],
    functions: [...functions, ...(inner?.functions ?? [])],
    binds: {
      relations: [...work.relations.values(), ...(inner?.binds.relations ?? [])],
      functions: [...functions.filter((fact) => !fact.system), ...(inner?.binds.functions ?? [])],
      types: [...work.types.values(), ...(inner?.binds.types ?? [])],
    },
    effects: [...work.effects, ...(inner?.effects ?? [])],
    hold: outlined.hold ?? { is: "may" },
    transaction: outlined.alone === true ? "never" : "may",
    ddl: outlined.ddl === true,
    mayMove: inner?.mayMove === true || (work.context.codeMoves === true && runsCode(work, touches)),
    looksUp: work.looksUp || inner?.looksUp === true,
    parameters: Math.max(work.parameters, inner?.parameters ?? 0),
    ...(inner === undefined ? {} : { inner }),
    notes: work.notes,
  };
}

/** Whether code of the database's own may run: functions that are called, and those of the relations that are used. */
function runsCode(work: Work, touches: readonly Touch[]): boolean {
  if ([...work.reached.values()].some((fact) => !fact.system)) return true;
  return [...work.relations.values()].some(({ code, schema, name }) => {
    const isWritten = (touch: Touch): boolean =>
      touch.schema === schema && touch.name === name && touch.action !== "select" && touch.action !== "lock";
    return code === "always" || (code === "when written" && touches.some(isWritten));
  });
}

function anyColumns(work: Work, tables: readonly TableAtom[]): readonly (readonly [Pattern, readonly string[]])[] {
  return tables
    .filter(({ anyColumn }) => anyColumn)
    .map(({ atom, schema, name }) => {
      const use = work.uses.find(({ relation }) => relation.schema === schema && relation.name === name);
      return [atom, use?.relation.columns ?? []];
    });
}

/** The same tables under another name for what is done to them. */
function aspectsOf(name: ActionName, touches: readonly Touch[], database: string): readonly Pattern[] {
  const wanted = name === "sql.copy.out" ? ["select"] : ["insert", "update", "delete"];
  const named = touches
    .filter((touch) => wanted.includes(touch.action))
    .map((touch) => ({ ...touch, action: "select" as const }));
  const atoms = atomsOf(named, database);
  return atoms.length === 0 ? [databaseAtom(name, database)] : atoms.map(({ atom }) => ({ ...atom, name }));
}
