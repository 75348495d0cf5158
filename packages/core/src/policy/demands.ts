/**
 * What the deciding rule demands of a request: justification, ticket, duration, addresses, sessions, uses, via. Nothing is clamped: what
 * exceeds is refused with what to change, and what was not asked is filled from the rule.
 */
import type { DecidedLimits } from "../documents/decision.ts";
import type { Via } from "../documents/primitives.ts";
import type { Ask, Asked, Facts } from "../documents/request.ts";
import type { LimitEnforcers, LimitName, ResourceSpec, RoleSpec } from "../documents/resource-spec.ts";
import { cidrContains, parseCidr } from "../lib/cidr.ts";
import { durationMs } from "../lib/duration.ts";
import { widePatterns, type CompiledRule, type GrantingRule } from "./compile.ts";
import { joinWords } from "./describe.ts";
import { overlapsAny } from "./patterns.ts";

export interface Terms {
  readonly limits: DecidedLimits;
  readonly via: Via;
  /** Why the rule refuses after all; empty where it does not. */
  readonly problems: readonly string[];
}

/** The terms under which this rule answers this request. */
export function termsOf(compiled: CompiledRule<GrantingRule>, asked: Asked, spec: ResourceSpec, facts: Facts): Terms {
  const { rule } = compiled;
  if ("action" in asked.ask) return actionTerms(compiled, asked, facts);
  const limits = decidedLimits(rule, asked);
  const chosen = chooseVia(rule, asked, spec);
  return {
    limits,
    via: chosen.via,
    problems: [
      ...wordProblems(compiled, asked),
      ...limitProblems(rule, asked),
      ...chosen.problems,
      ...(chosen.problems.length > 0 ? [] : unenforceable(rule, asked.ask, limits, chosen.via, spec)),
    ],
  };
}

/**
 * The terms of one exact action. It runs once and by the outpost itself, so there are no sessions or uses to count and no way to choose. One that a
 * session holds comes from the session's address, which its gateway knows; any other from where its requester asks.
 */
function actionTerms(compiled: CompiledRule<GrantingRule>, asked: Asked, facts: Facts): Terms {
  const { rule } = compiled;
  const { sourceIps, sessions, uses } = asked.limits ?? {};
  const problems = [...wordProblems(compiled, asked), ...limitProblems(rule, asked)];
  if (sessions !== undefined || uses !== undefined)
    problems.push("an exact action runs once; leave `sessions` and `uses` out");
  if (asked.via === "direct") problems.push("an exact action is run by the outpost; leave `via` out");
  const from = sourceIps ?? rule.limits.sourceIps;
  if (asked.within === undefined && from !== undefined) {
    const { sourceIp } = facts.verified;
    if (sourceIp === undefined || addressesOutside([sourceIp], from).length > 0)
      problems.push(
        `it is asked for from ${sourceIp === undefined ? "an unknown address" : `\`${sourceIp}\``}, and rule \`${rule.name}\` allows it from ${joinWords(from.slice(0, 5), "and")}`,
      );
  }
  return {
    limits: { duration: asked.window.duration, ...(from !== undefined && { sourceIps: [...from] }) },
    via: "gateway",
    problems,
  };
}

/** The limits that a rule gives where the request asks for nothing tighter. */
function decidedLimits({ limits: allowed }: GrantingRule, asked: Asked): DecidedLimits {
  const sourceIps = asked.limits?.sourceIps ?? allowed.sourceIps;
  const sessions = asked.limits?.sessions ?? allowed.sessions;
  const uses = asked.limits?.uses ?? allowed.uses;
  return {
    duration: asked.window.duration,
    ...(sourceIps === undefined ? {} : { sourceIps: [...sourceIps] }),
    ...(sessions === undefined ? {} : { sessions }),
    ...(uses === undefined ? {} : { uses }),
  };
}

function wordProblems({ rule, ticket }: CompiledRule<GrantingRule>, asked: Asked): string[] {
  const problems: string[] = [];
  const minLength = rule.require?.justification?.minLength ?? 0;
  if (Array.from(asked.justification.trim()).length < minLength) {
    problems.push(
      `rule \`${rule.name}\` wants a justification of at least ${String(minLength)} characters; say more about why`,
    );
  }
  if (ticket !== undefined) {
    const form = rule.require?.ticket ?? "";
    if (!ticket.ok)
      problems.push(`rule \`${rule.name}\` has a ticket expression that cannot be read; ask whoever keeps the policy`);
    else if (asked.ticket === undefined)
      problems.push(`rule \`${rule.name}\` wants a ticket of the form \`${form}\`; name one`);
    else if (!ticket.value.matchesWhole(asked.ticket))
      problems.push(`the ticket \`${asked.ticket}\` is not of the form \`${form}\` that rule \`${rule.name}\` wants`);
  }
  return problems;
}

function limitProblems({ name, limits }: GrantingRule, asked: Asked): string[] {
  const problems: string[] = [];
  if (durationMs(asked.window.duration) > durationMs(limits.maxDuration)) {
    problems.push(
      `\`${asked.window.duration}\` is longer than the \`${limits.maxDuration}\` that rule \`${name}\` allows; ask for \`${limits.maxDuration}\` or less`,
    );
  }
  const { sessions, uses, sourceIps } = asked.limits ?? {};
  if (limits.sessions !== undefined && sessions !== undefined && sessions > limits.sessions) {
    problems.push(
      `${String(sessions)} sessions are more than the ${String(limits.sessions)} that rule \`${name}\` allows`,
    );
  }
  if (limits.uses !== undefined && uses !== undefined && uses > limits.uses) {
    problems.push(`${String(uses)} uses are more than the ${String(limits.uses)} that rule \`${name}\` allows`);
  }
  const outside = sourceIps === undefined ? [] : addressesOutside(sourceIps, limits.sourceIps);
  if (outside.length > 0) {
    problems.push(
      `${joinWords(
        outside.slice(0, 5).map((text) => `\`${text}\``),
        "and",
      )} is outside ${joinWords((limits.sourceIps ?? []).slice(0, 5), "and")}, from which rule \`${name}\` allows`,
    );
  }
  return problems;
}

/** Networks of `inner` that no single network of `outer` contains; none where `outer` is absent. */
export function addressesOutside(inner: readonly string[], outer: readonly string[] | undefined): string[] {
  if (outer === undefined) return [];
  const allowed = outer.map(parseCidr);
  return inner.filter((text) => {
    const network = parseCidr(text);
    return network === undefined || !allowed.some((other) => other !== undefined && cidrContains(other, network));
  });
}

function chooseVia({ name, limits }: GrantingRule, asked: Asked, spec: ResourceSpec): { via: Via; problems: string[] } {
  const allowed: readonly Via[] = limits.via ?? ["gateway"];
  const role =
    "role" in asked.ask && Object.hasOwn(spec.roles, asked.ask.role) ? spec.roles[asked.ask.role] : undefined;
  const open = allowed.filter(
    (via) => spec.capabilities.vias[via] !== undefined && (role === undefined || role.vias.includes(via)),
  );
  const via = asked.via ?? open[0];
  if (via !== undefined && open.includes(via)) return { via, problems: [] };
  if (asked.via === undefined) {
    return {
      via: allowed[0] ?? "gateway",
      problems: [
        `no way that rule \`${name}\` allows (${joinWords(allowed, "or")}) is offered for this by \`${spec.name}\``,
      ],
    };
  }
  const instead = open[0] === undefined ? "" : `; ask for \`via: ${open[0]}\``;
  const why = allowed.includes(asked.via)
    ? `\`${spec.name}\` does not offer it for this role`
    : `rule \`${name}\` does not allow it`;
  return { via: asked.via, problems: [`\`via: ${asked.via}\` is not possible: ${why}${instead}`] };
}

/** Limits that nothing would enforce are refused here too, should such a policy have come into force nevertheless. */
function unenforceable(rule: GrantingRule, ask: Ask, limits: DecidedLimits, via: Via, spec: ResourceSpec): string[] {
  const enforcers = spec.capabilities.vias[via];
  if (enforcers === undefined) return [];
  const role = "role" in ask && Object.hasOwn(spec.roles, ask.role) ? spec.roles[ask.role] : undefined;
  // Only sessions hold; an action request is itself what would be held.
  const missing = limitsWanted(limits, rule.hold !== undefined && role !== undefined).filter(
    (limit) => enforcers[limit] === "none",
  );
  return [
    ...missing.map((limit) => `nothing would enforce ${limitWords[limit]} on a \`${via}\` key for \`${spec.name}\``),
    ...(role !== undefined && heldNatively(rule, role, via, spec)
      ? [
          `the role has actions by itself that rule \`${rule.name}\` holds, so nothing would hold them on a \`${via}\` key`,
        ]
      : []),
  ];
}

/** Whether a role has held actions natively, with no way to leave them out: then they would happen without being held. */
export function heldNatively(rule: GrantingRule, role: RoleSpec, via: Via, spec: ResourceSpec): boolean {
  return (
    rule.hold !== undefined &&
    !role.narrows.includes(via) &&
    overlapsAny(widePatterns(rule.hold, spec.capabilities.facets), role.patterns)
  );
}

/** Which limits must have an enforcer. */
export function limitsWanted(limits: Omit<DecidedLimits, "duration">, holds: boolean): LimitName[] {
  const wanted: LimitName[] = ["expiry"];
  if (limits.sourceIps !== undefined) wanted.push("sourceIps");
  if (limits.sessions !== undefined) wanted.push("sessions");
  if (limits.uses !== undefined) wanted.push("uses");
  if (holds) wanted.push("hold");
  return wanted;
}

export const limitWords: Readonly<Record<keyof LimitEnforcers, string>> = {
  expiry: "the end of the window",
  sourceIps: "the source addresses",
  sessions: "the number of sessions",
  uses: "the number of uses",
  hold: "held actions",
  closesSessions: "the closing of sessions",
};
