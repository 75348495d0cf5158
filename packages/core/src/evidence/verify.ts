/**
 * The one check that stands between an approval and a key. Outposts call it before they make anything, `cardea verify` calls it
 * for auditors; both get the same answer from the same bytes. It trusts nothing but what the trust document pins: every document is
 * checked for its signature, for belonging to the others, and by deciding, tallying and compiling again. It does no I/O and keeps
 * no memory: that a grant is issued only once, and that nothing goes backwards, is for the caller's store to know.
 */
import type { ErrorCode } from "../contract/errors.ts";
import { canonicalJson } from "../documents/canonical.ts";
import { digestOf } from "../documents/digest.ts";
import { Evidence } from "../documents/evidence.ts";
import type { Policy } from "../documents/policy.ts";
import type { Run } from "../documents/grant.ts";
import { timeMs, toTime } from "../documents/primitives.ts";
import type { Trust } from "../documents/trust.ts";
import { never } from "../lib/never.ts";
import { ok, refused, type Refused, type Result } from "../lib/result.ts";
import { checkBelonging, type Digests } from "./belonging.ts";
import { checkDecision } from "./decision.ts";
import { checkGrant } from "./grant.ts";
import { checkLog } from "./log.ts";
import { checkOutpost } from "./outpost.ts";
import { openRoster } from "./roster.ts";
import { checkSignatures } from "./signatures.ts";

export type EvidenceRefusal = Refused<Extract<ErrorCode, `evidence_${string}`>>;

/**
 * What was proven by signature, by the log or by deciding again, what rests on somebody's word, and what every login at the resource has besides
 * the grant; in plain words.
 */
export interface Verified {
  readonly ok: true;
  readonly proven: readonly string[];
  readonly asserted: readonly string[];
  readonly besides: readonly string[];
  readonly evidence: Evidence;
  readonly digests: Digests;
}

export interface VerifyOptions {
  /**
   * `issue` demands that the window is open at `nowMs`, and takes any roster not older than those the caller has seen; `audit` looks back: the
   * window may be over, and the roster is the one that the log names for the approval.
   */
  readonly purpose: "issue" | "audit";
  /** The policy that the caller knows to be in force; its deny rules apply whatever the request's policy said. */
  readonly currentPolicy?: Policy;
}

/** How far an outpost's clock may be behind the control plane's before a fresh grant looks early. */
export const clockSkewMs = 5_000;

/** Checks a grant's evidence under a trust document. */
export function verifyEvidence(
  input: unknown,
  trust: Trust,
  nowMs: number,
  options: VerifyOptions,
): Verified | EvidenceRefusal {
  const parsed = Evidence.safeParse(input);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return refused(
      "evidence_invalid",
      `the evidence is malformed at \`${issue?.path.join(".") ?? ""}\`: ${issue?.message ?? "unknown"}`,
    );
  }
  const evidence = parsed.data;
  if (evidence.trust !== digestOf("trust", trust)) {
    return refused("evidence_trust", "the evidence names another trust document than the one pinned here");
  }
  const digests = digestsOf(evidence);
  const roster = openRoster(evidence.roster);
  if (!roster.ok) return roster;

  // Looking back, the question is what held when the grant began.
  const decidedAt = options.purpose === "audit" ? timeMs(evidence.grant.window.notBefore) : nowMs;
  const steps: readonly (() => Result<undefined, EvidenceRefusal["code"]>)[] = [
    () => checkSignatures(evidence, digests, trust),
    () => checkBelonging(evidence, digests),
    () => checkOutpost(evidence, digests),
    () => checkLog(evidence, digests, trust, options.purpose),
    () => checkDecision(evidence, digests, roster.value, decidedAt, options.currentPolicy),
    () => checkGrant(evidence, roster.value),
    () => checkWindow(evidence, nowMs, options.purpose),
  ];
  for (const step of steps) {
    const result = step();
    if (!result.ok) return result;
  }
  return {
    ok: true,
    proven: proven(evidence),
    asserted: asserted(evidence),
    besides: besides(evidence),
    evidence,
    digests,
  };
}

/** The digests of all documents of the evidence, computed from their bytes. */
export function digestsOf(evidence: Evidence): Digests {
  return {
    request: digestOf("request", evidence.request),
    asked: evidence.request.asked.within === undefined ? undefined : digestOf("asked", evidence.request.asked),
    votes: evidence.votes.map((vote) => digestOf("vote", vote)),
    grant: digestOf("grant", evidence.grant),
    run: evidence.run === undefined ? undefined : digestOf("run", evidence.run),
    policy: digestOf("policy", evidence.policy),
    current: evidence.current === undefined ? undefined : digestOf("policy", evidence.current),
    spec: digestOf("spec", evidence.spec),
    rosterHead: digestOf("roster", evidence.roster.head),
  };
}

function checkWindow(
  { grant }: Evidence,
  nowMs: number,
  purpose: VerifyOptions["purpose"],
): Result<undefined, EvidenceRefusal["code"]> {
  if (purpose === "audit") return ok(undefined);
  if (nowMs >= timeMs(grant.window.notAfter)) {
    return refused("evidence_expired", `the grant ended at ${grant.window.notAfter}; it is ${toTime(nowMs)} here`);
  }
  if (nowMs + clockSkewMs < timeMs(grant.window.notBefore)) {
    return refused("evidence_early", `the grant begins at ${grant.window.notBefore}; it is ${toTime(nowMs)} here`);
  }
  return ok(undefined);
}

function proven({ request, votes, policy, run }: Evidence): string[] {
  const { decision, asked } = request;
  return [
    `the control plane signed request, votes, grant, policy and roster`,
    `policy version ${String(policy.version)} decides ${decision.effect}${decision.rule === undefined ? "" : ` by rule ${decision.rule}`}, computed again`,
    votes.length === 0
      ? "the rule asks for no approval"
      : `the votes of ${String(new Set(votes.map((vote) => vote.approver)).size)} people meet every stage, counted again`,
    `the grant permits exactly what was approved to ${asked.requester.id} on ${asked.resource}, compiled again`,
    "the log proves the approval",
    ...(asked.within === undefined
      ? []
      : [
          `outpost ${request.resource.outpost} signed that its session ${asked.within.session} waited with exactly this`,
        ]),
    ...(run === undefined ? [] : [`outpost ${request.resource.outpost} signed that ${runWords(run)}`]),
  ];
}

function runWords({ id, outcome, rowCount, at, resultDigest }: Run): string {
  const rows = rowCount === undefined ? "" : `, ${String(rowCount)} row${rowCount === 1 ? "" : "s"}`;
  const answer = resultDigest === undefined ? "" : `; its sealed answer is ${resultDigest}`;
  switch (outcome) {
    case "done":
      return `the action was done once, until ${at}${rows} (${id})${answer}`;
    case "failed":
      return `the action was not done; it failed at ${at} (${id})`;
    case "unknown":
      return `the action may have been done; nobody knew at ${at} (${id})`;
    default:
      return never(outcome);
  }
}

function asserted({ request, run }: Evidence): string[] {
  const named = Object.keys(request.facts.asserted);
  const { asked } = request;
  return [
    ...("action" in asked.ask
      ? [
          "what the action touches and what its names stood for: the outpost's word, as it was approved",
          run === undefined
            ? "whether the action was done: the evidence does not say"
            : "how the action went: the outpost's word",
        ]
      : []),
    ...(asked.within === undefined || request.facts.verified["session"] === undefined
      ? []
      : ["what the session could do anyway: vouched for by the control plane, compared by the outpost"]),
    "that requester and approvers were the people who signed in: vouched for by the control plane, not signed by themselves",
    ...(named.length === 0
      ? []
      : [
          `facts that the client asserted: ${named.join(", ")} (${canonicalJson(request.facts.asserted).length} characters)`,
        ]),
  ];
}

/** The outpost's word, bound by the digest in the specification; a grant is its scope plus this. */
function besides({ spec, publicPrivileges }: Evidence): string[] {
  if (publicPrivileges === undefined)
    return [`what everybody may at ${spec.name} is not in the evidence; its digest is ${spec.publicPrivileges}`];
  const { summary } = publicPrivileges;
  return summary.length === 0
    ? [`everybody at ${spec.name} may nothing, as its outpost found it`]
    : summary.map((may) => `everybody at ${spec.name} may ${may}`);
}
