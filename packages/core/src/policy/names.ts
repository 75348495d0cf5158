/** Names of groups and subjects that a rule uses and nobody has. */
import type { ApproversFrom } from "../documents/decision.ts";
import type { Rule } from "../documents/policy.ts";
import type { RosterEntry } from "../documents/roster.ts";
import type { Path, Problem, Report } from "./problem.ts";

/** Warnings for names that are not among those given; what is not given is not checked. */
export function checkNames(
  rule: Rule,
  { groups, people }: { readonly groups?: readonly string[]; readonly people?: readonly RosterEntry[] },
  report: Report,
): Problem[] {
  const problems: Problem[] = [];
  const known = groups && new Set(groups);
  const ids = people && new Set<string>(people.map(({ subject }) => subject));
  const check = (from: Partial<{ groups: readonly string[]; subjects: readonly string[] }>, path: Path): void => {
    for (const group of from.groups ?? [])
      if (known?.has(group) === false)
        problems.push(report("warning", "group_unknown", path, `there is no group \`${group}\``));
    for (const id of from.subjects ?? [])
      if (ids?.has(id) === false)
        problems.push(report("warning", "subject_unknown", path, `there is no subject \`${id}\``));
  };
  const { groups: asking, ids: askingIds } = rule.subjects ?? {};
  check({ ...(asking && { groups: asking }), ...(askingIds && { subjects: askingIds }) }, ["subjects"]);
  for (const { from, path } of approverLists(rule)) check("external" in from ? {} : from, path);
  return problems;
}

/** Every list of approvers or reviewers in a rule. */
function approverLists(rule: Rule): { from: ApproversFrom; path: Path }[] {
  switch (rule.effect) {
    case "deny":
      return [];
    case "allow":
      return rule.breakGlass === undefined
        ? []
        : [{ from: rule.breakGlass.review.from, path: ["breakGlass", "review", "from"] }];
    case "review": {
      const stages = rule.approvals.flatMap((stage, index) =>
        (Array.isArray(stage) ? stage : [stage]).map(({ from }) => ({ from, path: ["approvals", index] })),
      );
      return rule.pending?.escalate === undefined
        ? stages
        : [...stages, { from: rule.pending.escalate.to, path: ["pending", "escalate", "to"] }];
    }
  }
}
