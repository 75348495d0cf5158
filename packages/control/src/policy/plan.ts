import type { z } from "zod";
import { wouldDiffer } from "@cardea/core/approval/still-stands";
import type { PlanPolicy, PolicyPlan, PolicyProblem } from "@cardea/core/wire/api/operations";
import { newId, type RequestId } from "@cardea/core/contract/ids";
import type { Policy, PolicyDocument } from "@cardea/core/documents/policy";
import { toTime } from "@cardea/core/documents/primitives";
import { parsePolicy } from "@cardea/core/policy/parse";
import type { Problem } from "@cardea/core/policy/problem";
import { diffPolicies } from "@cardea/core/policy/simulate";
import { hasErrors, validatePolicy } from "@cardea/core/policy/validate";
import type { Actor, Control } from "../control.ts";
import { demand } from "../people/demand.ts";
import { currentRoster } from "../people/roster.ts";
import { manyRequests } from "../store/requests.ts";
import { manyResources, specByDigest } from "../store/resources.ts";
import { policyInForce } from "./current.ts";

const maxProblems = 1_000;
const maxResources = 10_000;
const maxPending = 10_000;

/** A policy text, read and held against the resources and people that there are. */
export interface CheckedPolicy {
  readonly document: PolicyDocument | undefined;
  readonly problems: readonly PolicyProblem[];
  readonly valid: boolean;
}

/** What applying this policy would do; it changes nothing. @throws CardeaError `forbidden` */
export async function planPolicy(
  control: Control,
  actor: Actor,
  { source }: z.output<typeof PlanPolicy>,
): Promise<PolicyPlan> {
  demand(actor, "admin", "auditor");
  const checked = await checkPolicy(control, source);
  const current = await policyInForce(control);
  const base = current?.signed.document.version ?? 0;
  const { document } = checked;
  const changes =
    document === undefined
      ? []
      : diffPolicies(current?.signed.document.document ?? { version: 1, rules: [] }, document);
  const named = (...kinds: readonly (typeof changes)[number]["change"][]): string[] =>
    changes.filter(({ change }) => kinds.includes(change)).map(({ rule }) => rule);
  return {
    valid: checked.valid,
    problems: [...checked.problems],
    base,
    added: named("added"),
    removed: named("removed"),
    changed: named("changed", "moved"),
    expires:
      document === undefined || !checked.valid ? [] : await wouldExpire(control, draftOf(control, document, base + 1)),
  };
}

/** Reads and checks a policy text. */
export async function checkPolicy(control: Control, source: string): Promise<CheckedPolicy> {
  const parsed = parsePolicy(source);
  if (!parsed.ok) return { document: undefined, problems: parsed.problems.map(shown), valid: false };
  const [roster, resources] = await Promise.all([
    currentRoster(control),
    manyResources(control.db, undefined, maxResources),
  ]);
  const problems = validatePolicy(parsed.document, {
    specs: resources.flatMap(({ spec }) => spec?.document ?? []),
    groups: [...new Set(roster.entries().flatMap((entry) => entry.groups))],
    people: roster.entries(),
  });
  return {
    document: parsed.document,
    problems: problems.map((problem) => shown(parsed.source.locate(problem))).slice(0, maxProblems),
    valid: !hasErrors(problems),
  };
}

/** A policy document as a version that is not in force. */
export function draftOf(control: Control, document: PolicyDocument, version: number): Policy {
  return {
    v: 1,
    id: newId("policy", control.clock, control.random),
    version,
    at: toTime(control.clock.now()),
    document,
  };
}

async function wouldExpire(control: Control, draft: Policy): Promise<RequestId[]> {
  const pending = await manyRequests(control.db, control.keys, { state: "pending", limit: maxPending });
  const expiring: RequestId[] = [];
  for (const request of pending) {
    if ("altered" in request) continue;
    const { document } = request.signed;
    const spec = await specByDigest(control.db, document.resource.specDigest);
    if (spec === undefined || wouldDiffer(document, spec.document, draft)) expiring.push(request.id);
  }
  return expiring;
}

function shown({ severity, code, rule, line, column, message, hint }: Problem): PolicyProblem {
  return {
    severity,
    code,
    ...(rule !== undefined && { rule }),
    ...(line !== undefined && { line }),
    ...(column !== undefined && { column }),
    message,
    ...(hint !== undefined && { hint }),
  };
}
