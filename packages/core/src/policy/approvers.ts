/** Whether the people whom a rule asks for exist: for each requirement, for all stages together, and without the one who asks. */
import type { ApproversFrom } from "../documents/decision.ts";
import type { Rule, ReviewRule } from "../documents/policy.ts";
import type { RosterEntry } from "../documents/roster.ts";
import { matchToPlaces } from "../lib/matching.ts";
import { subjectMatcher } from "./compile.ts";
import { describeFrom } from "./describe.ts";
import { isAmong } from "./membership.ts";
import type { Path, Problem, Report } from "./problem.ts";

/** Requesters tried one by one; more would only find the same again. */
const maxTried = 200;

interface Wanted {
  readonly path: Path;
  readonly count: number;
  readonly from: readonly ApproversFrom[];
}

/** Warnings where nobody, or too few people, could approve or review. Nothing without a roster. */
export function checkApprovers(rule: Rule, people: readonly RosterEntry[] | undefined, report: Report): Problem[] {
  if (people === undefined || rule.effect === "deny") return [];
  const wanted =
    rule.effect === "review"
      ? wantedOf(rule)
      : rule.breakGlass === undefined
        ? []
        : [{ path: ["breakGlass", "review"], count: 1, from: [rule.breakGlass.review.from] }];
  const able = people.filter(
    (entry) =>
      entry.active && entry.kind === "human" && wanted.some(({ from }) => from.some((one) => isAmong(one, entry))),
  );
  const problems = wanted.flatMap((one) => {
    const found = able.filter((entry) => one.from.some((from) => isAmong(from, entry))).length;
    if (found >= one.count) return [];
    return [
      report(
        "warning",
        "approvers_missing",
        one.path,
        `it needs ${String(one.count)} of ${describeFrom(one.from[0] ?? { groups: [] })}, where there ${found === 1 ? "is 1 person" : `are ${String(found)} people`}`,
      ),
    ];
  });
  if (problems.length > 0 || wanted.length === 0) return problems;
  const path = rule.effect === "review" ? ["approvals"] : ["breakGlass", "review"];
  if (!enough(wanted, able)) {
    const total = wanted.reduce((sum, { count }) => sum + count, 0);
    return [
      report(
        "warning",
        "approvers_missing",
        path,
        `all stages together need ${String(total)} different people, and those who could approve are fewer`,
      ),
    ];
  }
  const asks = subjectMatcher(rule);
  const stuck = able
    .filter((entry) =>
      asks({ requester: { id: entry.subject, kind: entry.kind }, groups: new Set(entry.groups), claims: entry.claims }),
    )
    .slice(0, maxTried)
    .find(
      (requester) =>
        !enough(
          wanted,
          able.filter((entry) => entry !== requester),
        ),
    );
  return stuck === undefined
    ? []
    : [
        report(
          "warning",
          "approvers_only_requesters",
          path,
          `when \`${stuck.name}\` asks, too few others are left to approve`,
        ),
      ];
}

function wantedOf(rule: ReviewRule): Wanted[] {
  const escalate = rule.pending?.escalate;
  return rule.approvals.flatMap((stage, stageIndex) =>
    (Array.isArray(stage) ? stage : [stage]).map(({ count, from }, index) => ({
      path: ["approvals", stageIndex, ...(Array.isArray(stage) ? [index] : [])],
      count,
      from: escalate === undefined ? [from] : [from, escalate.to],
    })),
  );
}

function enough(wanted: readonly Wanted[], people: readonly RosterEntry[]): boolean {
  const fits = people.map((entry) =>
    wanted.flatMap(({ from }, index) => (from.some((one) => isAmong(one, entry)) ? [index] : [])),
  );
  const seated = matchToPlaces(
    fits,
    wanted.map(({ count }) => count),
  );
  return wanted.every(({ count }, index) => seated[index]?.length === count);
}
