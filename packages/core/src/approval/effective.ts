/**
 * What an approved request comes to: window, permissions, limits, way and judgement of its grant. Computed at activation by the control plane
 * and again, from evidence, by the outpost. Only ever the intersection of what was asked and what every approver left.
 */
import type { ErrorCode } from "../contract/errors.ts";
import type { Grant, Permissions } from "../documents/grant.ts";
import type { Policy } from "../documents/policy.ts";
import { timeMs, toTime, type Time } from "../documents/primitives.ts";
import type { Request } from "../documents/request.ts";
import type { ResourceSpec } from "../documents/resource-spec.ts";
import type { Narrowing } from "../documents/vote.ts";
import { durationMs } from "../lib/duration.ts";
import { ok, refused, type Refused, type Result } from "../lib/result.ts";
import { addressesOutside } from "../policy/demands.ts";
import { compileJudgement } from "../policy/judgement.ts";
import { coversAll, intersectAll } from "../policy/patterns.ts";
import { intersectAddresses, shorter, type CombinedNarrowing } from "./narrowing.ts";

export type NarrowingRefusal = Extract<
  ErrorCode,
  "narrowing_invalid" | "narrowing_unenforceable" | "narrowing_exact" | "role_unknown"
>;

export interface EffectiveInput {
  readonly request: Request;
  /** From the tally. */
  readonly narrowing: CombinedNarrowing;
  readonly spec: ResourceSpec;
  /** The policy that decided the request. */
  readonly policy: Policy;
  /** The policy in force now, where it is another. */
  readonly current?: Policy;
  /** When the grant is activated: the duration counts from here or from the asked start, whichever is later, never from filing. */
  readonly activatedAt: Time;
}

export type Effective = Pick<Grant, "window" | "permissions" | "limits" | "via" | "judgement">;

/** The grant's content. Refuses a narrowing that is wider than the request or that nothing would enforce. */
export function effectiveGrant({
  request,
  narrowing,
  spec,
  policy,
  current,
  activatedAt,
}: EffectiveInput): Result<Effective, NarrowingRefusal> {
  const problem = checkNarrowing(request, spec, narrowing);
  if (problem !== undefined) return problem;
  const permissions = permissionsOf(request, spec, narrowing);
  if (permissions === undefined)
    return refused("narrowing_invalid", "the approvers' narrowings leave no permission in common");
  const { decision, asked } = request;
  const sourceIps =
    narrowing.sourceIps === undefined
      ? decision.limits.sourceIps
      : intersectAddresses(decision.limits.sourceIps ?? narrowing.sourceIps, narrowing.sourceIps);
  if (sourceIps?.length === 0)
    return refused("narrowing_invalid", "the approvers' narrowings leave no source address in common");
  const duration = shorter(decision.limits.duration, narrowing.duration) ?? decision.limits.duration;
  const start =
    asked.window.start === undefined ? timeMs(activatedAt) : Math.max(timeMs(activatedAt), timeMs(asked.window.start));
  const { sessions, uses } = decision.limits;
  return ok({
    window: { notBefore: toTime(start), notAfter: toTime(start + durationMs(duration)) },
    permissions,
    limits: {
      ...(sourceIps === undefined ? {} : { sourceIps: [...sourceIps] }),
      ...(sessions === undefined ? {} : { sessions }),
      ...(uses === undefined ? {} : { uses }),
    },
    via: decision.via,
    judgement: compileJudgement({ request, spec, policy, permissions, ...(current === undefined ? {} : { current }) }),
  });
}

/** Whether a narrowing may be put on a request, asked also before the vote that carries it is taken. */
export function checkNarrowing(
  request: Request,
  spec: ResourceSpec,
  narrowing: Narrowing | CombinedNarrowing,
): Refused<NarrowingRefusal> | undefined {
  const { asked, decision } = request;
  const { duration, permissions, sourceIps } = narrowing;
  if (duration === undefined && permissions === undefined && sourceIps === undefined) return undefined;
  if ("action" in asked.ask)
    return refused("narrowing_exact", "an exact action can only be approved as it is, or refused");
  if (duration !== undefined && durationMs(duration) > durationMs(decision.limits.duration)) {
    return refused("narrowing_invalid", `\`${duration}\` is longer than the \`${decision.limits.duration}\` asked for`);
  }
  if (sourceIps !== undefined) {
    const outside = addressesOutside(sourceIps, decision.limits.sourceIps);
    if (outside.length > 0)
      return refused("narrowing_invalid", `\`${outside.slice(0, 5).join(", ")}\` is outside the addresses asked for`);
    if ((spec.capabilities.vias[decision.via]?.sourceIps ?? "none") === "none") {
      return refused(
        "narrowing_unenforceable",
        `nothing would enforce source addresses on a \`${decision.via}\` key for \`${spec.name}\``,
      );
    }
  }
  if (permissions === undefined) return undefined;
  const role = Object.hasOwn(spec.roles, asked.ask.role) ? spec.roles[asked.ask.role] : undefined;
  if (role === undefined) return refused("role_unknown", `\`${spec.name}\` has no role \`${asked.ask.role}\``);
  if (!coversAll(role.patterns, permissions))
    return refused("narrowing_invalid", `the permissions go beyond role \`${asked.ask.role}\``);
  if (!role.narrows.includes(decision.via)) {
    return refused(
      "narrowing_unenforceable",
      `role \`${asked.ask.role}\` cannot be narrowed on a \`${decision.via}\` key for \`${spec.name}\``,
    );
  }
  return undefined;
}

function permissionsOf(
  { asked: { ask } }: Request,
  spec: ResourceSpec,
  narrowing: CombinedNarrowing,
): Permissions | undefined {
  if ("action" in ask) return { action: ask.action };
  const own = Object.hasOwn(spec.roles, ask.role) ? (spec.roles[ask.role]?.patterns ?? []) : [];
  const patterns = narrowing.permissions === undefined ? own : intersectAll(own, narrowing.permissions);
  return patterns.length === 0 ? undefined : { role: ask.role, patterns: [...patterns] };
}
