/** Decisions, stages and limits in plain words, for requesters and approvers. The words go into decisions, so the same input always gives the same text. */
import type { ApproversFrom, DecidedLimits, Decision, Requirement } from "../documents/decision.ts";
import { toPlainText } from "../documents/primitives.ts";
import type { Action } from "../documents/request.ts";
import { never } from "../lib/never.ts";

/** `1 of dba`, `2 of dba or security`, `1 of 3 named people`. */
export function describeRequirement(requirement: Pick<Requirement, "count" | "from" | "signed">): string {
  const signed =
    requirement.signed === "any" ? "" : ` (signed with ${requirement.signed === "ssh" ? "an SSH key" : "a passkey"})`;
  return `${String(requirement.count)} of ${describeFrom(requirement.from)}${signed}`;
}

/** `dba or security`. */
export function describeFrom(from: ApproversFrom): string {
  if ("groups" in from) return joinWords(from.groups, "or");
  if ("subjects" in from)
    return from.subjects.length === 1 ? `one named person` : `${String(from.subjects.length)} named people`;
  return `the outside system ${from.external}`;
}

/** `needs 1 of dba, then 1 of security and 1 of owners`; `needs nobody` where there are no stages. */
export function describeStages(stages: readonly (readonly Requirement[])[]): string {
  return `needs ${describeWhoIsAsked(stages)}`;
}

/** `1 of dba, then 1 of security and 1 of owners`. */
export function describeWhoIsAsked(stages: readonly (readonly Requirement[])[]): string {
  if (stages.length === 0) return "nobody";
  return stages.map((stage) => joinWords(stage.map(describeRequirement), "and")).join(", then ");
}

/** The facets by which actions name the things that they are about; values in statements, such as what stands behind WHERE, are in none. */
const thingFacets = ["tables", "paths", "operations"] as const;
const maxThings = 3;

/** `update public.orders`: for messages, which must not hold what the action's text may: that is shown where one signs in. */
export function describeAction({ name, binding }: Action): string {
  const [kind, ...words] = name.split(".");
  const verb = words.length === 0 ? (kind ?? "") : words.join(" ");
  const listed = binding?.["patterns"];
  const parts = Array.isArray(listed) ? listed : [];
  const things = parts.flatMap((part) => (isRecord(part) && part["name"] === name ? thingsOf(part) : []));
  const named = [...new Set(things)];
  const more = named.length > maxThings ? ` and ${String(named.length - maxThings)} more` : "";
  return toPlainText([verb, named.slice(0, maxThings).join(", ")].join(" ").trim(), 300) + more;
}

function thingsOf(part: Readonly<Record<string, unknown>>): string[] {
  return thingFacets.flatMap((facet) => {
    const values = part[facet];
    return Array.isArray(values) ? values.filter((value) => typeof value === "string") : [];
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `for 2h, from 10.0.0.0/8, 3 sessions at once, 1 use`. */
export function describeLimits(limits: DecidedLimits): string {
  const parts = [`for ${limits.duration}`];
  if (limits.sourceIps !== undefined) parts.push(`from ${joinWords(limits.sourceIps, "or")}`);
  if (limits.sessions !== undefined) parts.push(`${countOf(limits.sessions, "session")} at once`);
  if (limits.uses !== undefined) parts.push(countOf(limits.uses, "use"));
  return parts.join(", ");
}

/** One sentence for a whole decision. */
export function describeDecision(decision: Decision): string {
  switch (decision.effect) {
    case "deny":
      return `refused: ${decision.reasons.join("; ")}`;
    case "allow":
      return `allowed by rule \`${decision.rule ?? ""}\` ${describeLimits(decision.limits)}`;
    case "review":
      return `rule \`${decision.rule ?? ""}\` ${describeStages(decision.stages)}, ${describeLimits(decision.limits)}`;
    default:
      return never(decision.effect);
  }
}

/** `a, b and c`. */
export function joinWords(words: readonly string[], last: "and" | "or"): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${last} ${words.slice(-1).join("")}`;
}

function countOf(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? "" : "s"}`;
}
