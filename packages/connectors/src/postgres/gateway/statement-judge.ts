/**
 * Judges statements by PostgreSQL's grammar, what their names resolve to in this very session, and the grant's judgement. Asks the server
 * for facts it lacks, between the client's own messages, and keeps them until something changes. `loadParser` comes first.
 */
import type { Pattern } from "@cardea/core/documents/pattern";
import type { GatewaySession } from "../../gateway.ts";
import { actionOf, whyNotAsked, type SqlWhat } from "../spec/statement/action.ts";
import { analyse, endsTransaction } from "../spec/statement/analyse.ts";
import { codeMovesQuery, pathQuery } from "../spec/statement/catalog-queries.ts";
import { judgeStatement } from "../spec/statement/judge.ts";
import type { ParsedText } from "../spec/statement/parser.ts";
import type { Refusal } from "../spec/statement/refusal.ts";
import { lookAround, newFacts, resolve, type AskServer } from "../spec/statement/resolve.ts";
import { SessionFacts } from "../spec/statement/session-facts.ts";
import type { Effect, SessionContext, Statement } from "../spec/statement/statement.ts";
import type { InnerAnswer } from "./inner-query.ts";
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
  /** Asked once: whoever writes such code is not whoever is judged. */
  #codeMoves: boolean | undefined;
  /** What changed the session's state is part of an open transaction. */
  #undoable = false;

  constructor(session: Pick<GatewaySession<unknown>, "judgement">, view: SessionView, texts: ParsedTexts) {
    this.#session = session;
    this.#view = view;
    this.#texts = texts;
  }

  judge(asked: StatementText): Decision | Promise<Decision> {
    const { text, parameterTypes } = asked;
    const parsed = this.#texts.get(text);
    if (parsed.is === "refused") return refused(parsed);
    if (!mayExecute(text)) {
      const analysis = analyse(parsed, this.#context(this.#facts ?? noFacts, new Map(), parameterTypes));
      // Another session may have made what was missing when it was asked for.
      if (analysis.is === "refused" && analysis.code === "missing_name") this.#facts = undefined;
      if (analysis.is === "refused" && this.#facts !== undefined) return refused(analysis);
      // Beginning and ending a transaction needs no facts, which a failed one would not give.
      const ready =
        analysis.is === "statements" && (this.#facts !== undefined || analysis.statements.every(isTransactional));
      const decision = ready ? this.#decide(analysis.statements) : undefined;
      if (decision !== undefined && !("asks" in decision)) return decision;
    }
    return this.#findOut(asked, parsed).catch((error: unknown): Decision => {
      if (error instanceof NoAnswer) return { is: "denied", words: error.words, once: true };
      throw error;
    });
  }

  changed(undoable: boolean): void {
    this.#undoable = undoable;
    this.#facts = undefined;
  }

  async moved(): Promise<boolean> {
    const path = this.#facts?.path;
    if (path === undefined) return false;
    const answer = await this.#view.look(pathQuery, []);
    return "error" in answer || answer.rows[0]?.[1] !== path;
  }

  async #findOut({ text, parameterTypes }: StatementText, parsed: ParsedText): Promise<Decision> {
    const facts = (this.#facts ??= await newFacts(this.#ask));
    this.#codeMoves ??= (await this.#ask(codeMovesQuery, []))[0]?.[0] !== "f";
    const prepared = mayExecute(text)
      ? readPrepared(await this.#ask(preparedStatementsQuery, []), this.#texts)
      : new Map<string, never>();
    const resolved = new Map<string, Statement>();
    for (const [name, one] of prepared) {
      const found = await resolve(one.parsed, this.#context(facts, new Map(), []), facts, this.#ask);
      if (found.is !== "statements") continue;
      const statement = found.statements.find(
        ({ effects }) => !one.bySql || effects.some((effect) => effect.is === "prepare" && effect.name === name),
      );
      const meant = one.bySql ? statement?.inner : statement;
      if (meant !== undefined) resolved.set(name, meant);
    }
    const context = this.#context(facts, resolved, parameterTypes);
    const analysis = await resolve(parsed, context, facts, this.#ask);
    if (analysis.is === "refused")
      return { ...refused(analysis), once: analysis.code === "missing_name" || mayExecute(text) };
    const decision = this.#decide(analysis.statements);
    // A statement that waits needs more to be known.
    if (!("asks" in decision)) return decision;
    return this.#held({ database: context.database, statement: text }, decision.asks, parameterTypes);
  }

  /** What a statement that waits is and reaches. */
  async #held(what: SqlWhat, asks: Statement, parameterTypes: readonly number[]): Promise<Decision> {
    const problem = whyNotAsked(what, asks);
    if (problem !== undefined) {
      const words = `it needs approval and cannot wait for it: ${problem.why}`;
      return {
        is: "denied",
        words: { code: "42501", message: words, ...(problem.instead === undefined ? {} : { hint: problem.instead }) },
      };
    }
    return {
      is: "held",
      changes: asks.effects.some(changesMeaning),
      mayMove: asks.mayMove,
      action: actionOf(what, asks, await lookAround(asks, parameterTypes, this.#ask)),
      // A procedure may commit on its way.
      traceable: asks.transaction === "may" && asks.kind !== "call",
      looksUp: asks.looksUp,
      uses: usesOf([asks]),
    };
  }

  readonly #ask: AskServer = async (sql, values) => {
    const answer = await this.#view.look(sql, values);
    if ("error" in answer) throw new NoAnswer(answer.error);
    return answer.rows;
  };

  #context(
    catalog: SessionFacts,
    prepared: ReadonlyMap<string, Statement>,
    parameterTypes: readonly number[],
  ): SessionContext {
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
      parameterTypes,
      undoable: this.#undoable,
      codeMoves: this.#codeMoves ?? true,
      prepared: (name) => prepared.get(name),
    };
  }

  /** The decision, or the statement that needs approval. */
  #decide(statements: readonly Statement[]): Decision | { readonly asks: Statement } {
    let asks: Statement | undefined;
    for (const statement of statements) {
      const outcome = judgeStatement(this.#session.judgement, statement);
      if (outcome.is === "denied") return { is: "denied", words: notCovered(statement, outcome.message) };
      if (outcome.is !== "covered") asks ??= statement;
    }
    if (asks !== undefined) return { asks };
    const effects = statements.flatMap((statement) => statement.effects);
    return {
      is: "covered",
      changes: effects.some((effect) => changesMeaning(effect) || (this.#undoable && endsTransaction(effect))),
      mayMove: statements.some((statement) => statement.mayMove),
      uses: usesOf(statements),
      begins: effects.length > 0 && effects.every((effect) => effect.is === "transaction" && effect.step === "begin"),
      ...(effects.some(({ is }) => is === "execute") ? { once: true } : {}),
      ...(effects.some((effect) => effect.is === "deallocate" || effect.is === "cursor" || effect.is === "discard")
        ? { forgets: forgotten(effects) }
        : {}),
    };
  }
}

const noFacts = new SessionFacts(undefined, undefined);

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

/** What counts as use of a permission. */
function usesOf(statements: readonly Statement[]): readonly Pattern[] {
  return statements.flatMap(({ atoms }) => atoms.filter(({ name }) => name !== "sql.session"));
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
