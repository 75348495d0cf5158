/** After a refusal: what could be asked for instead, found by deciding it. */
import type { Pattern } from "../documents/pattern.ts";
import type { Asked, Ask } from "../documents/request.ts";
import type { ResourceSpec } from "../documents/resource-spec.ts";
import { coversAll } from "./patterns.ts";
import type { GrantingRule } from "./compile.ts";

/** Roles tried, so that a refusal stays as quick as a decision. */
const maxTried = 20;
const maxSuggested = 5;

/**
 * Roles of the resource that this subject could ask for, the ones that permit least first, in words. `answer` decides a different ask
 * from the same subject and gives the deciding rule unless it refuses.
 */
export function suggestions(
  asked: Asked,
  spec: ResourceSpec,
  needed: readonly Pattern[],
  answer: (ask: Ask) => GrantingRule | undefined,
): string[] {
  // Instead of an action only a role helps that permits it.
  const helps = (role: string): boolean => "role" in asked.ask || coversAll(patternsOf(spec, role), needed);
  const roles = Object.keys(spec.roles).sort().filter(helps).slice(0, maxTried);
  const open = roles.flatMap((role) => {
    if ("role" in asked.ask && asked.ask.role === role) return [];
    const rule = answer({ role });
    return rule === undefined ? [] : [{ role, rule }];
  });
  if (open.length === 0 && "action" in asked.ask)
    return [`no role on \`${spec.name}\` that would permit it is open to this subject; ask whoever keeps the policy`];
  if (open.length === 0) return [`nothing on \`${spec.name}\` is open to this subject; ask whoever keeps the policy`];
  return open
    .map((one) => ({
      ...one,
      size: open.filter((other) => coversAll(patternsOf(spec, one.role), patternsOf(spec, other.role))).length,
    }))
    .sort((a, b) => (a.size === b.size ? (a.role < b.role ? -1 : 1) : a.size - b.size))
    .slice(0, maxSuggested)
    .map(
      ({ role, rule }) =>
        `could be asked for instead: role \`${role}\` for up to \`${rule.limits.maxDuration}\` (rule \`${rule.name}\`${rule.effect === "review" ? ", with approval" : ""})`,
    );
}

function patternsOf(spec: ResourceSpec, role: string): readonly Pattern[] {
  return spec.roles[role]?.patterns ?? [];
}
