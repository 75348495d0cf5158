/**
 * Judges statements by PostgreSQL's grammar, what their names resolve to in this very session, and the grant's judgement. Asks the server
 * for facts it lacks, between the client's own messages, and keeps them until something changes. `loadParser` comes first.
 */
import type { Action } from "@cardea/core/documents/request";
import type { GatewaySession } from "../../gateway.ts";
import { analyse } from "../spec/statement/analyse.ts";
import { creationSchemaQuery } from "../spec/statement/catalog-queries.ts";
import { describe } from "../spec/statement/describe.ts";
import { judgeStatement } from "../spec/statement/judge.ts";
import type { ParsedText } from "../spec/statement/parser.ts";
import type { Refusal } from "../spec/statement/refusal.ts";
import { SessionFacts } from "../spec/statement/session-facts.ts";
import type { Effect, SessionContext, Statement } from "../spec/statement/statement.ts";
import type { WantedName } from "../spec/statement/facts.ts";
import type { InnerAnswer, InnerRows } from "./inner-query.ts";
import type { Words } from "./messages.ts";
import { ParsedTexts } from "./parsed-texts.ts";
import { preparedStatementsQuery, readPrepared } from "./prepared-by-sql.ts";
import type { PostgresUpstream } from "./settings.ts";
import type { Decision, StatementJudge, StatementText } from "./statement.ts";

/** The session as its judge sees it. */
export interface SessionView {
  readonly upstream: PostgresUpstream;
  /** What the server reported when the session began, such as `server_version`. */
  parameter(name: string): string | undefined;
  /** Runs a query in the session as soon as nothing is under way; values as texts. */
  look(sql: string, values: readonly string[]): Promise<InnerAnswer>;
}

/** Rounds of asking for facts, each of which may bring up new names. */
const maxRounds = 10;

/** Makes judges that share what depends on the text alone. */
export function grammarJudges(): (
  session: Pick<GatewaySession<unknown>, "judgement">,
  view: SessionView,
) => StatementJudge {
  const texts = new ParsedTexts();
  return (session, view) => new GrammarJudge(session, view, texts);
}

class GrammarJudge implements StatementJudge {
  readonly #session: Pick<GatewaySession<unknown>, "judgement">;
  readonly #view: SessionView;
  readonly #texts: ParsedTexts;
  #facts: SessionFacts | undefined;

  constructor(session: Pick<GatewaySession<unknown>, "judgement">, view: SessionView, texts: ParsedTexts) {
    this.#session = session;
    this.#view = view;
    this.#texts = texts;
  }

  judge({ text }: StatementText): Decision | Promise<Decision> {
    const parsed = this.#texts.get(text);
    if (parsed.is === "refused") return refused(parsed);
    if (!mayExecute(text)) {
      const analysis = analyse(parsed, this.#context(this.#facts ?? noFacts, new Map()));
      // Another session may have made what was missing when it was asked for.
      if (analysis.is === "refused" && analysis.code === "missing_name") this.#facts = undefined;
      if (analysis.is === "refused" && this.#facts !== undefined) return refused(analysis);
      // Beginning and ending a transaction needs no facts, which a failed one would not give.
      const ready =
        analysis.is === "statements" && (this.#facts !== undefined || analysis.statements.every(isTransactional));
      if (ready) return this.#decide(text, analysis.statements);
    }
    return this.#findOut(text, parsed).catch((error: unknown): Decision => {
      if (error instanceof NoAnswer) return { is: "denied", words: error.words, once: true };
      throw error;
    });
  }

  changed(): void {
    this.#facts = undefined;
  }

  async #findOut(text: string, parsed: ParsedText): Promise<Decision> {
    const facts = (this.#facts ??= new SessionFacts((await this.#rows(creationSchemaQuery, []))[0]?.[0] ?? undefined));
    const prepared = mayExecute(text)
      ? readPrepared(await this.#rows(preparedStatementsQuery, []), this.#texts)
      : new Map<string, never>();
    const resolved = new Map<string, Statement>();
    for (const [name, one] of prepared) {
      const found = await this.#resolve(one.parsed, facts, new Map());
      if (found.is !== "statements") continue;
      const statement = found.statements.find(
        ({ effects }) => !one.bySql || effects.some((effect) => effect.is === "prepare" && effect.name === name),
      );
      const meant = one.bySql ? statement?.inner : statement;
      if (meant !== undefined) resolved.set(name, meant);
    }
    const analysis = await this.#resolve(parsed, facts, resolved);
    if (analysis.is === "refused")
      return { ...refused(analysis), once: analysis.code === "missing_name" || mayExecute(text) };
    return this.#decide(text, analysis.statements);
  }

  async #resolve(
    parsed: ParsedText,
    facts: SessionFacts,
    prepared: ReadonlyMap<string, Statement>,
  ): Promise<Refusal | { readonly is: "statements"; readonly statements: readonly Statement[] }> {
    for (let round = 0; round < maxRounds; round++) {
      const analysis = analyse(parsed, this.#context(facts, prepared));
      if (analysis.is !== "unresolved") return analysis;
      await this.#fetch(facts, analysis.names);
    }
    throw new NoAnswer({
      code: "54001",
      message: "the statement's names lead to ever more names",
      hint: "write it in smaller parts",
    });
  }

  async #fetch(facts: SessionFacts, names: readonly WantedName[]): Promise<void> {
    for (const query of facts.queriesFor(names)) {
      const rows = await this.#rows(query.text, query.values.map(arrayText));
      query.take(
        rows.map(([answer]): unknown => (answer === null || answer === undefined ? null : JSON.parse(answer))),
      );
    }
  }

  async #rows(sql: string, values: readonly string[]): Promise<InnerRows> {
    const answer = await this.#view.look(sql, values);
    if ("error" in answer) throw new NoAnswer(answer.error);
    return answer.rows;
  }

  #context(catalog: SessionFacts, prepared: ReadonlyMap<string, Statement>): SessionContext {
    const { upstream } = this.#view;
    const parameter = (name: string): string => this.#view.parameter(name) ?? "";
    return {
      database: upstream.database,
      login: upstream.user,
      serverVersion: Number.parseInt(parameter("server_version"), 10),
      settings: {
        standardConformingStrings: parameter("standard_conforming_strings"),
        clientEncoding: parameter("client_encoding"),
        serverEncoding: parameter("server_encoding"),
      },
      catalog,
      prepared: (name) => prepared.get(name),
    };
  }

  #decide(text: string, statements: readonly Statement[]): Decision {
    let asks: Statement | undefined;
    for (const statement of statements) {
      const outcome = judgeStatement(this.#session.judgement, statement);
      if (outcome.is === "denied") return { is: "denied", words: notCovered(statement, outcome.message) };
      if (outcome.is !== "covered") asks ??= statement;
    }
    const effects = statements.flatMap((statement) => statement.effects);
    const changes =
      effects.some(changesMeaning) ||
      (!this.#tellsOfPath && statements.some(({ binds }) => binds.functions.length > 0));
    if (asks === undefined) {
      return {
        is: "covered",
        changes,
        begins: effects.length > 0 && effects.every((effect) => effect.is === "transaction" && effect.step === "begin"),
        ...(effects.some(({ is }) => is === "execute") ? { once: true } : {}),
        ...(effects.some((effect) => effect.is === "deallocate" || effect.is === "cursor" || effect.is === "discard")
          ? { forgets: forgotten(effects) }
          : {}),
      };
    }
    if (asks.hold.is === "never")
      return {
        is: "denied",
        words: {
          code: "42501",
          message: `it needs approval and cannot wait for it: ${asks.hold.why}`,
          hint: asks.hold.instead,
        },
      };
    return { is: "held", changes, action: this.#action(text, asks), patterns: asks.atoms };
  }

  /** Whether the server reports a changed search path. Others do not, and a function can change it from inside. */
  get #tellsOfPath(): boolean {
    return this.#view.parameter("search_path") !== undefined;
  }

  #action(text: string, statement: Statement): Action {
    const { relations, functions, types } = statement.binds;
    return {
      type: "sql",
      name: statement.atoms[0]?.name ?? "sql.session",
      what: { kind: statement.kind, lines: [...describe(statement)], ddl: statement.ddl },
      binding: {
        database: this.#view.upstream.database,
        statement: text,
        relations: relations.map(({ oid, schema, name, reaches = [] }) => ({
          oid,
          schema,
          name,
          reaches: reaches.map((reach) => ({ ...reach })),
        })),
        functions: functions.map(({ oid, schema, name, hash = null }) => ({ oid, schema, name, hash })),
        types: types.map(({ schema, name }) => ({ schema, name })),
      },
    };
  }
}

const noFacts = new SessionFacts(undefined);

function isTransactional({ effects, atoms }: Statement): boolean {
  return (
    effects.length > 0 &&
    effects.every(({ is }) => is === "transaction") &&
    atoms.every(({ name }) => name === "sql.session")
  );
}

/** The session could not answer what had to be known. */
class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  readonly words: Words;

  constructor(words: Words) {
    super(words.message);
    this.words = words;
  }
}

/** Whether a text may run what another one prepared; the analysis says for certain. */
function mayExecute(text: string): boolean {
  return /execute/i.test(text);
}

/** Whether names, texts or rights may mean something else after it. */
function changesMeaning(effect: Effect): boolean {
  switch (effect.is) {
    case "setting":
      return effect.name === "search_path" || effect.name === "role" || effect.name === "session_authorization";
    case "settings reset":
    case "definitions":
    case "temporary table":
      return true;
    case "discard":
      return effect.what === "all" || effect.what === "temporary";
    case "transaction":
    case "prepare":
    case "execute":
    case "deallocate":
    case "cursor":
    case "advisory lock":
    case "large object":
    case "listen":
    case "unlisten":
    case "notify":
    case "copy":
      return false;
  }
}

/** Names that the protocol shares with SQL and that may stand for something else after these. */
function forgotten(effects: readonly Effect[]): {
  readonly statements: readonly string[] | "all";
  readonly portals: readonly string[] | "all";
} {
  const statements: string[] = [];
  const portals: string[] = [];
  for (const effect of effects) {
    if (effect.is === "discard" && effect.what === "all") return { statements: "all", portals: "all" };
    if (effect.is === "deallocate") {
      if (effect.name === undefined) return { statements: "all", portals: "all" };
      statements.push(effect.name);
    }
    if (effect.is === "cursor" && effect.step !== "fetch") {
      if (effect.name === undefined) return { statements: "all", portals: "all" };
      portals.push(effect.name);
    }
  }
  return { statements, portals };
}

function refused({ why, instead, sqlState, position }: Refusal): Decision {
  return {
    is: "denied",
    words: {
      code: sqlState,
      message: why,
      ...(instead === undefined ? {} : { hint: instead }),
      ...(position === undefined ? {} : { position }),
    },
  };
}

function notCovered(statement: Statement, message: string | undefined): Words {
  if (message !== undefined) return { code: "42501", message };
  const touched = statement.touches.map(({ action, schema, name }) => `${action} ${schema}.${name}`);
  const what = touched.length === 0 ? statement.kind : [...new Set(touched)].join(", ");
  return { code: "42501", message: `this key does not cover it: ${what}`, hint: "ask for a role that does" };
}

/** The text form of an array of texts. */
function arrayText(values: readonly (string | null)[]): string {
  const elements = values.map((value) => (value === null ? "null" : `"${value.replaceAll(/["\\]/g, "\\$&")}"`));
  return `{${elements.join(",")}}`;
}
