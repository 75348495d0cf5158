import { effectiveGrant } from "../approval/effective.ts";
import { approvalStands } from "../approval/still-stands.ts";
import { canonicalJson } from "../documents/canonical.ts";
import type { Evidence } from "../documents/evidence.ts";
import { timeMs } from "../documents/primitives.ts";
import { durationMs } from "../lib/duration.ts";
import { ok, refused, type Result } from "../lib/result.ts";
import type { ProvenRoster } from "./roster.ts";

/** How much later than its approval, or its asked start, a grant's window may begin: the time of one transaction, generously. */
const maxActivationDelayMs = 60_000;

type Refusals = "evidence_quorum" | "evidence_grant" | "evidence_roster";

/** Counts the votes again and compiles the grant again: it must be approved, and permit exactly what that comes to. */
export function checkGrant(evidence: Evidence, roster: ProvenRoster): Result<undefined, Refusals> {
  const { request, votes, grant, spec, policy, current } = evidence;
  const unproven = votes.find((vote) => !roster.has(vote.approver));
  if (unproven !== undefined)
    return refused("evidence_roster", `the roster does not prove the approver ${unproven.approver}`);

  const counted = approvalStands({ request, votes, grant, entries: (subject) => roster.get(subject) });
  if (!counted.ok)
    return counted.code === "not_approved" ? refused("evidence_quorum", counted.detail) : different(counted.detail);
  const { at, narrowing } = counted.value;

  const opens = Math.max(timeMs(at), timeMs(request.asked.window.start ?? at));
  const begins = timeMs(grant.window.notBefore);
  if (begins < opens) return different("its window begins before it was approved");
  if (begins > opens + maxActivationDelayMs) return different("its window begins later than asked");
  if (timeMs(grant.window.notAfter) - begins > durationMs(request.decision.limits.duration))
    return different("its window is longer than approved");

  const effective = effectiveGrant({
    request,
    narrowing,
    spec,
    policy,
    activatedAt: grant.window.notBefore,
    ...(current && { current }),
  });
  if (!effective.ok) return different(effective.detail);
  const { window, permissions, limits, via, judgement } = grant;
  if (canonicalJson({ window, permissions, limits, via, judgement }) !== canonicalJson(effective.value))
    return different("it permits something else");
  return ok(undefined);
}

function different(detail: string) {
  return refused("evidence_grant", `the grant is not what was approved: ${detail}`);
}
