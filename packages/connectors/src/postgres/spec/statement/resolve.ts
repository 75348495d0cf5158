/**
 * The analysis together with somebody who can ask the server: what names stand for is asked for until nothing is lacking, and before a
 * statement is asked for also what it can reach. Called by the gateway's judge, in the client's own session, and by previews.
 */
import { z } from "zod";
import { actionOf, whyNotAsked, type SqlWhat, type Surroundings } from "./action.ts";
import { analyse } from "./analyse.ts";
import { eventTriggersQuery, pathQuery, reachQuery, readingQuery } from "./catalog-queries.ts";
import type { Action } from "@cardea/core/documents/request";
import { parse, type ParsedText } from "./parser.ts";
import { refusal, type Refusal } from "./refusal.ts";
import { readFunctions, readReach, SessionFacts } from "./session-facts.ts";
import type { SessionContext, Statement } from "./statement.ts";

/**
 * Runs a query where the statement would run, with the values as texts. Answers the rows as texts, JSON among them unread. What it rejects
 * with goes through to whoever called.
 */
export type AskServer = (
  sql: string,
  values: readonly string[],
) => Promise<readonly (readonly (string | null | undefined)[])[]>;

export type Resolved = Refusal | { readonly is: "statements"; readonly statements: readonly Statement[] };

/** Rounds of asking for facts, each of which may bring up new names. */
const maxRounds = 10;

export async function newFacts(ask: AskServer): Promise<SessionFacts> {
  const [row] = await ask(pathQuery, []);
  return new SessionFacts(row?.[0] ?? undefined, row?.[1] ?? undefined);
}

/** As `analyse`, with every fact that it lacks fetched into `facts`, which is the context's catalogue. */
export async function resolve(
  parsed: ParsedText,
  context: SessionContext,
  facts: SessionFacts,
  ask: AskServer,
): Promise<Resolved> {
  for (let round = 0; round < maxRounds; round++) {
    const analysis = analyse(parsed, { ...context, catalog: facts });
    if (analysis.is !== "unresolved") return analysis;
    for (const query of facts.queriesFor(analysis.names)) {
      const rows = await ask(query.text, query.values.map(arrayText));
      query.take(rows.map(([answer]) => readJson(answer)));
    }
  }
  return refusal("too_large", "the statement's names lead to ever more names", "write it in smaller parts");
}

/** What surrounds a statement, besides what its analysis needed. */
export async function lookAround(
  statement: Statement,
  parameterTypes: readonly number[],
  ask: AskServer,
): Promise<Surroundings> {
  const oids = [...new Set(statement.binds.relations.map(({ oid }) => oid))];
  const reaches = oids.length === 0 ? [] : await ask(reachQuery, [`{${oids.join(",")}}`]);
  const triggers = statement.ddl ? await ask(eventTriggersQuery, []) : [];
  const [reading] = await ask(readingQuery, []);
  return {
    reaches: new Map(oids.map((oid, index) => [oid, readReach(readJson(reaches[index]?.[0]))])),
    eventTriggers: triggers.length === 0 ? [] : readFunctions(readJson(triggers[0]?.[0])),
    settings: Reading.parse(readJson(reading?.[0])),
    parameterTypes,
  };
}

const Reading = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

/** What a request for one statement, outside of any session, asks for, looked up now. `context`: without a catalogue, which is made. */
export async function lookAt(
  what: SqlWhat,
  context: Omit<SessionContext, "catalog">,
  ask: AskServer,
): Promise<Refusal | { readonly is: "seen"; readonly action: Action; readonly statement: Statement }> {
  const parsed = parse(what.statement);
  if (parsed.is === "refused") return parsed;
  const facts = await newFacts(ask);
  const resolved = await resolve(parsed, { ...context, catalog: facts }, facts, ask);
  if (resolved.is === "refused") return resolved;
  const [statement] = resolved.statements;
  if (statement === undefined) return refusal("never_judged", "there is no statement in it", "write one");
  const problem = whyNotAsked(what, statement, "outside");
  if (problem !== undefined) return problem;
  const around = await lookAround(statement, context.parameterTypes ?? [], ask);
  return { is: "seen", action: actionOf(what, statement, around), statement };
}

function readJson(answer: string | null | undefined): unknown {
  return answer === null || answer === undefined ? null : JSON.parse(answer);
}

/** The text form of an array of texts. */
export function arrayText(values: readonly (string | null)[]): string {
  const elements = values.map((value) => (value === null ? "null" : `"${value.replaceAll(/["\\]/g, "\\$&")}"`));
  return `{${elements.join(",")}}`;
}
