import { describe, expect, it } from "vitest";
import type { RosterEntry } from "../documents/roster.ts";
import { timeMs } from "../documents/primitives.ts";
import {
  agent,
  changeRule,
  dba,
  noDropRule,
  requester,
  samplePeople,
  sampleScene,
  type SceneChanges,
} from "../evidence/samples.ts";
import { sampleEntry, samplePolicy } from "../policy/samples.ts";
import { approvalStands, decisionStands, wouldDiffer } from "./still-stands.ts";

const byAgent = { asked: { requester: { id: agent, kind: "agent", onBehalfOf: requester } } } as const;
const keeping = changeRule({ onPolicyChange: "keep" });

const withEntry = (entry: RosterEntry): readonly RosterEntry[] => [
  ...samplePeople.filter(({ subject }) => subject !== entry.subject),
  entry,
];

function decision(
  changes: SceneChanges,
  people: readonly RosterEntry[] = samplePeople,
  current?: SceneChanges["current"],
) {
  const { request, spec, policy, grant } = sampleScene(changes);
  const outcome = decisionStands({
    request,
    spec,
    policy,
    current: current ?? policy,
    entries: (subject) => people.find((entry) => entry.subject === subject),
    nowMs: timeMs(grant.window.notBefore),
  });
  return outcome.ok ? "stands" : outcome.code;
}

describe("a decision stands", () => {
  it("while requester and policy are what they were", () => {
    expect(decision({})).toBe("stands");
    expect(decision(byAgent)).toBe("stands");
  });

  it("only for a requester, and everybody behind them, who is known, active and what the request says", () => {
    const lost = "requester_lost";
    expect(decision({}, withEntry(sampleEntry(1, ["engineering"], { active: false })))).toBe(lost);
    expect(decision({}, withEntry(sampleEntry(1, ["engineering"], { kind: "workload" })))).toBe(lost);
    expect(decision({}, [])).toBe(lost);
    expect(decision(byAgent, withEntry(sampleEntry(1, ["engineering"], { active: false })))).toBe(lost);
    expect(decision(byAgent, withEntry(sampleEntry(6, ["engineering"], { kind: "agent", actsFor: dba })))).toBe(lost);
    expect(
      decision(
        byAgent,
        samplePeople.filter(({ subject }) => subject !== requester),
      ),
    ).toBe(lost);
  });

  it("or falls, and never asks without end, where a roster says that two act for each other", () => {
    const circle = withEntry(sampleEntry(1, ["engineering"], { kind: "agent", actsFor: agent }));
    expect(decision(byAgent, circle)).toBe("stands");
    expect(
      decision(
        byAgent,
        circle.map((entry) => ({ ...entry, active: entry.subject !== requester })),
      ),
    ).toBe("requester_lost");
  });

  it("only while policy asks for the same, or where the rule keeps it, does not forbid it", () => {
    const left = withEntry(sampleEntry(1, ["sales"]));
    const stricter = samplePolicy(
      [noDropRule, changeRule({ approvals: [{ count: 2, from: { groups: ["dba"] } }] })],
      2,
    );
    const without = samplePolicy([noDropRule], 2);
    const denying = samplePolicy([{ name: "nobody", effect: "deny", message: "closed" }], 2);
    expect(decision({}, left)).toBe("decision_changed");
    for (const current of [stricter, without, denying])
      expect(decision({}, samplePeople, current)).toBe("decision_changed");
    const kept = { rules: [noDropRule, keeping] };
    for (const current of [stricter, without]) expect(decision(kept, samplePeople, current)).toBe("stands");
    expect(decision(kept, samplePeople, denying)).toBe("decision_changed");
    expect(decision(kept, left)).toBe("decision_changed");
  });
});

describe("a request that waits", () => {
  it("would be decided otherwise where the terms differ, not where only the version does", () => {
    const { request, spec } = sampleScene();
    expect(wouldDiffer(request, spec, samplePolicy([noDropRule, changeRule()], 2))).toBe(false);
    expect(
      wouldDiffer(request, spec, samplePolicy([noDropRule, changeRule({ limits: { maxDuration: "1h" } })], 2)),
    ).toBe(true);
  });
});

describe("an approval stands", () => {
  const { request, votes, grant } = sampleScene();
  const approval = (people: readonly RosterEntry[], over: { votes?: typeof votes; grant?: typeof grant } = {}) => {
    const outcome = approvalStands({
      request,
      votes,
      grant,
      entries: (subject) => people.find((entry) => entry.subject === subject),
      ...over,
    });
    return outcome.ok ? outcome.value.votes : outcome.code;
  };

  it("while those who gave it may give it, and by exactly the votes that the grant names", () => {
    expect(approval(samplePeople)).toEqual(grant.votes);
    expect(approval(withEntry(sampleEntry(2, ["dba"], { active: false })))).toBe("not_approved");
    expect(approval(withEntry(sampleEntry(2, ["engineering"])))).toBe("not_approved");
    expect(approval(samplePeople, { votes: votes.slice(0, 1) })).toBe("not_approved");
    expect(approval(samplePeople, { grant: { ...grant, votes: grant.votes.slice(0, 1) } })).toBe("other_votes");
    expect(approval(samplePeople, { grant: { ...grant, votes: [...grant.votes].reverse() } })).toBe("other_votes");
  });
});
