/** What a request asks for, as patterns: a role's patterns, or the one action's. Called by decisions and by whoever files a held action. */
import { z } from "zod";
import type { Judgement } from "../documents/grant.ts";
import { Patterns, type Facet, type Pattern } from "../documents/pattern.ts";
import type { Action, Ask, Asked, Facts } from "../documents/request.ts";
import type { Capabilities, ResourceSpec } from "../documents/resource-spec.ts";
import { coversAll, overlapsAny } from "./patterns.ts";

/** What is asked for, as rules look at it. */
export interface AskedParts {
  /** Everything that is touched, and what else the action is: what deny rules are about. */
  readonly touched: readonly Pattern[];
  /** What a rule must cover to decide: all that is touched, but for what the session of a held action may do anyway. */
  readonly needed: readonly Pattern[];
}

export function askedParts({ ask, within }: Asked, spec: ResourceSpec, facts: Facts): AskedParts {
  const patterns = askedPatterns(ask, spec);
  if ("role" in ask) return { touched: patterns, needed: patterns };
  return {
    touched: [...patterns, ...actionAspects(ask.action, spec.capabilities.facets)],
    needed: within === undefined ? patterns : beyondSession(patterns, facts.verified["session"]),
  };
}

/** What a verified fact `session` of a held action says: what its session's own grant lets it do, as far as the action touches it. */
const SessionFact = z.strictObject({ covered: Patterns, hold: Patterns });
export type SessionFact = z.infer<typeof SessionFact>;

/**
 * The fact `session` of a held action, from the judgement of the session's grant. Control plane and outpost both make it, and the outpost, which
 * has the grant, demands that they are equal.
 */
export function sessionFact({ covered, hold }: Judgement, action: Action, spec: ResourceSpec): SessionFact {
  const patterns = actionPatterns(action, spec.capabilities.facets);
  const about = (pattern: Pattern): boolean => overlapsAny([pattern], patterns);
  return { covered: covered.filter(about), hold: hold.filter(about) };
}

/** Where nothing is beyond it, or the fact cannot be read, everything has to be covered: that is never more than policy permits. */
function beyondSession(patterns: readonly Pattern[], fact: unknown): readonly Pattern[] {
  const session = SessionFact.safeParse(fact);
  if (!session.success) return patterns;
  const { covered, hold } = session.data;
  const beyond = patterns.filter((part) => !coversAll(covered, [part]) || overlapsAny(hold, [part]));
  return beyond.length === 0 ? patterns : beyond;
}

/** The patterns asked for; none for a role that the resource does not have. */
function askedPatterns(ask: Ask, spec: ResourceSpec): readonly Pattern[] {
  if ("role" in ask) return Object.hasOwn(spec.roles, ask.role) ? (spec.roles[ask.role]?.patterns ?? []) : [];
  return actionPatterns(ask.action, spec.capabilities.facets);
}

/**
 * One exact action as patterns. What an action touches stands in its binding, put there by the outpost's preview, as `patterns`: a list of
 * `{ name, facet: [values] | true, … }`, one for each thing touched, or, for an action of one kind, as `facets: { facet: … }`. An action that
 * says nothing about a facet is not covered by a pattern that restricts it, and meets every deny rule about it.
 */
function actionPatterns(action: Action, facets: Capabilities["facets"]): readonly Pattern[] {
  const listed = action.binding?.["patterns"];
  if (Array.isArray(listed) && listed.length > 0) {
    // A part that cannot be read stands for the whole action without facets: it is covered least and denied most.
    const parts = listed.map((part) =>
      isRecord(part) ? { name: partName(part, action.name), ...facetsOf(part, facets) } : { name: action.name },
    );
    // The action's own name always counts, whatever its parts are called.
    return parts.some((part) => part.name === action.name) ? parts : [{ name: action.name }, ...parts];
  }
  const touched = action.binding?.["facets"];
  return [{ name: action.name, ...(isRecord(touched) ? facetsOf(touched, facets) : {}) }];
}

/**
 * What an action is besides what it touches, as its connector found it out: `aspects` in the binding, of the same form as `patterns`. They need
 * no cover and can only refuse; what cannot be read may be anything, so any deny rule about actions is about it.
 */
function actionAspects({ binding }: Action, facets: Capabilities["facets"]): readonly Pattern[] {
  const listed = binding?.["aspects"];
  if (listed === undefined) return [];
  const anything: Pattern = { name: "*" };
  if (!Array.isArray(listed)) return [anything];
  return listed.map((part) => {
    if (!isRecord(part)) return anything;
    const name = part["name"];
    return typeof name === "string" ? { name, ...facetsOf(part, facets) } : anything;
  });
}

function partName(part: Readonly<Record<string, unknown>>, whole: string): string {
  const name = part["name"];
  return typeof name === "string" ? name : whole;
}

function facetsOf(
  touched: Readonly<Record<string, unknown>>,
  facets: Capabilities["facets"],
): { facets?: Record<string, Facet> } {
  const read: Record<string, Facet> = {};
  for (const [key, matcher] of Object.entries(facets)) {
    const value = Object.hasOwn(touched, key) ? touched[key] : undefined;
    if (matcher === "flag") {
      if (value === true) read[key] = { matcher, value };
    } else if (
      Array.isArray(value) &&
      value.length > 0 &&
      value.every((item) => typeof item === "string" && item !== "")
    ) {
      read[key] = { matcher, values: value as string[] }; // every item was just seen to be a text
    }
  }
  return Object.keys(read).length === 0 ? {} : { facets: read };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
