import { describe, expect, it } from "vitest";
import type { Decision, Requirement } from "../documents/decision.ts";
import { digestOf } from "../documents/digest.ts";
import { describeDecision, describeLimits, describeStages, joinWords } from "./describe.ts";
import { sampleSubject, sampleTime } from "./samples.ts";

const of = (count: number, from: Requirement["from"], signed: Requirement["signed"] = "any"): Requirement => ({
  id: "1.1",
  count,
  from,
  signed,
});
const decision: Decision = {
  policy: digestOf("policy", {}),
  rule: "writers",
  effect: "review",
  reasons: [],
  stages: [[of(1, { groups: ["dba"] })]],
  limits: { duration: "2h" },
  via: "gateway",
  expiresAt: sampleTime,
  onPolicyChange: "end",
};

describe("in plain words", () => {
  it("stages", () => {
    expect(describeStages([])).toBe("needs nobody");
    expect(describeStages([[of(1, { groups: ["dba"] })], [of(1, { groups: ["security"] })]])).toBe(
      "needs 1 of dba, then 1 of security",
    );
    expect(
      describeStages([
        [of(2, { groups: ["a", "b", "c"] }), of(1, { subjects: [sampleSubject(1), sampleSubject(2)] }, "ssh")],
      ]),
    ).toBe("needs 2 of a, b or c and 1 of 2 named people (signed with an SSH key)");
    expect(describeStages([[of(1, { external: "tickets" }, "passkey")]])).toBe(
      "needs 1 of the outside system tickets (signed with a passkey)",
    );
  });

  it("limits", () => {
    expect(describeLimits({ duration: "2h" })).toBe("for 2h");
    expect(describeLimits({ duration: "90s", sourceIps: ["10.0.0.0/8", "::1"], sessions: 1, uses: 2 })).toBe(
      "for 90s, from 10.0.0.0/8 or ::1, 1 session at once, 2 uses",
    );
  });

  it("decisions", () => {
    expect(describeDecision(decision)).toBe("rule `writers` needs 1 of dba, for 2h");
    expect(describeDecision({ ...decision, effect: "allow", stages: [] })).toBe("allowed by rule `writers` for 2h");
    expect(describeDecision({ ...decision, effect: "deny", reasons: ["no rule permits this", "ask less"] })).toBe(
      "refused: no rule permits this; ask less",
    );
  });

  it("lists", () => {
    expect([[], ["a"], ["a", "b"], ["a", "b", "c"]].map((words) => joinWords(words, "and"))).toEqual([
      "",
      "a",
      "a and b",
      "a, b and c",
    ]);
  });
});
