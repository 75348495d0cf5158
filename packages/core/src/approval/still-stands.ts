/**
 * Whether what was decided and approved still stands, as people and policies are now. The control plane asks it before anything is approved, begun
 * or kept, so that people hear of it early; the evidence check asks it of what the evidence proves. Pure. It never widens: a decision that would
 * come out better now does not become it.
 */
import { canonicalJson } from "../documents/canonical.ts";
import type { Decision } from "../documents/decision.ts";
import type { Grant } from "../documents/grant.ts";
import type { Policy } from "../documents/policy.ts";
import { toTime } from "../documents/primitives.ts";
import type { Facts, Request } from "../documents/request.ts";
import type { ResourceSpec } from "../documents/resource-spec.ts";
import type { RosterEntry } from "../documents/roster.ts";
import type { Vote } from "../documents/vote.ts";
import { ok, refused, type Refused, type Result } from "../lib/result.ts";
import { decide, whyDenied } from "../policy/decide.ts";
import type { Entries } from "./standing.ts";
import { tally, type Approved } from "./tally.ts";

export interface DecisionStandsInput {
  readonly request: Request;
  readonly spec: ResourceSpec;
  /** The policy that decided the request: the one of `request.decision.policy`. */
  readonly policy: Policy;
  /** The policy in force now. */
  readonly current: Policy;
  readonly entries: Entries;
  readonly nowMs: number;
}

/** Whether it is the requester, or somebody behind them, who lost what it takes, or policy that answers otherwise. */
export type Fallen = "requester_lost" | "decision_changed";

/**
 * Decides again: for the requester as they are now, at `nowMs`, under the request's policy or, where its rule says `onPolicyChange: end`, the
 * current one; deny rules of the current policy always.
 */
export function decisionStands({
  request,
  spec,
  policy,
  current,
  entries,
  nowMs,
}: DecisionStandsInput): Result<undefined, Fallen> {
  const { asked, decision } = request;
  const facts = factsNow(request, entries);
  if (!facts.ok) return facts;
  const asking = { asked, spec, facts: facts.value, createdAt: toTime(nowMs) };
  const keeps = decision.onPolicyChange === "keep";
  const judging = keeps ? policy : current;
  const again = decide({ policy: judging, ...(judging === policy && { policyDigest: decision.policy }), ...asking });
  const version = `policy version ${String(judging.version)}`;
  if (again.effect === "deny") return changed(`${version} refuses it now: ${again.reasons[0] ?? "no rule permits it"}`);
  if (terms(again) !== terms(decision)) return changed(`${version} asks for something else now`);
  const denied = keeps ? whyDenied({ policy: current, ...asking }) : undefined;
  return denied === undefined
    ? ok(undefined)
    : changed(`rule \`${denied.rule}\` of policy version ${String(current.version)} refuses it now`);
}

/** Whether a request that still waits would be decided otherwise by another policy, from the same facts at the same instant. */
export function wouldDiffer(request: Request, spec: ResourceSpec, current: Policy): boolean {
  const { asked, facts, createdAt, decision } = request;
  return terms(decide({ policy: current, asked, spec, facts, createdAt })) !== terms(decision);
}

export interface ApprovalStandsInput {
  readonly request: Request;
  readonly votes: readonly Vote[];
  readonly grant: Grant;
  readonly entries: Entries;
}

/** Whether the votes, counted at the beginning of the grant's window, still come to an approval, and by exactly those that the grant names. */
export function approvalStands({
  request,
  votes,
  grant,
  entries,
}: ApprovalStandsInput): Result<Approved, "not_approved" | "other_votes"> {
  const counted = tally({ request, votes, entries, now: grant.window.notBefore });
  if (counted.state !== "approved")
    return refused("not_approved", `the votes come to ${counted.state}, not to an approval`);
  return canonicalJson(grant.votes) === canonicalJson(counted.votes)
    ? ok(counted)
    : refused("other_votes", "it names other votes than those that count");
}

/** What was verified of the requester, with the groups and claims of now. Everybody behind the request must be active. */
function factsNow({ asked, facts }: Request, entries: Entries): Result<Facts, "requester_lost"> {
  const { id, kind, onBehalfOf } = asked.requester;
  const entry = entries(id);
  if (entry === undefined) return lost("the roster does not hold the requester");
  if (entry.kind !== kind || entry.actsFor !== onBehalfOf) return lost("the requester is not what the request says");
  const seen = new Set<RosterEntry>();
  for (let behind = entry; !seen.has(behind);) {
    if (!behind.active) return lost(`\`${behind.name}\` is not active any more`);
    if (behind.actsFor === undefined) break;
    seen.add(behind);
    const next = entries(behind.actsFor);
    if (next === undefined) return lost(`the roster does not hold the one for whom \`${behind.name}\` acts`);
    behind = next;
  }
  // `Object.assign`, because a spread would forget that further facts may stand beside these.
  return ok({ ...facts, verified: Object.assign({}, facts.verified, { groups: entry.groups, claims: entry.claims }) });
}

/** What of a decision must stay as it was. */
function terms({ effect, stages, limits, via }: Decision): string {
  return canonicalJson({ effect, stages, limits, via });
}

function lost(detail: string): Refused<"requester_lost"> {
  return refused("requester_lost", detail);
}

function changed(detail: string): Refused<"decision_changed"> {
  return refused("decision_changed", detail);
}
