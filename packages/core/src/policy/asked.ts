/** What a request asks for, as patterns: a role's patterns, or the one action's. */
import type { Facet, Pattern } from "../documents/pattern.ts";
import type { Action, Ask } from "../documents/request.ts";
import type { Capabilities, ResourceSpec } from "../documents/resource-spec.ts";

/** The patterns asked for; none for a role that the resource does not have. */
export function askedPatterns(ask: Ask, spec: ResourceSpec): readonly Pattern[] {
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
